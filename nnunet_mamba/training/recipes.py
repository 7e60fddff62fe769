"""How the papers trained their networks, as data."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Optimiser, schedule and budget of one paper; an epoch is nnU-Net's 250 iterations.

    Args:
        source: paper and section the numbers are taken from.
        initial_lr: learning rate at the first epoch.
        final_lr: learning rate that one cosine over the whole run ends in; None for nnU-Net's polynomial, which ends
            in 0.
        weight_decay: weight decay of matrices and convolution kernels; decoupled in AdamW.
        num_epochs: epochs of the whole run.
        optimizer: "AdamW", or "SGD" with nnU-Net's Nesterov momentum of 0.99.
        p_rotation: probability that a training image is rotated, beside flips; None for nnU-Net's own augmentation.
        save_every: epochs between two writings of ``checkpoint_latest.pth``.
    """

    source: str
    initial_lr: float
    final_lr: float | None
    weight_decay: float
    num_epochs: int
    optimizer: Literal["AdamW", "SGD"] = "AdamW"
    p_rotation: float | None = 0.5
    # These checkpoints are small, and an epoch on a CPU takes minutes that nobody wants to lose.
    save_every: int = 1


ULTRALIGHT_VM_UNET = Recipe(
    source="Wu et al. 2024, arXiv:2403.20035, section 4.2; weight decay of github.com/wurenkai/UltraLight-VM-UNet",
    initial_lr=1e-3,
    final_lr=1e-5,
    weight_decay=1e-2,
    num_epochs=200,
)

VM_UNET = Recipe(
    source="Ruan et al. 2024, arXiv:2402.02491, section IV.B; weight decay of github.com/JCruan519/VM-UNet",
    initial_lr=1e-3,
    final_lr=1e-5,
    weight_decay=1e-2,
    num_epochs=300,
    save_every=5,
)

ULTRALBM_UNET = Recipe(
    source="Fan et al. 2025, UltraLBM-UNet, section 4.2",
    initial_lr=1e-3,
    final_lr=1e-5,
    weight_decay=1e-2,
    num_epochs=300,
)

U_MAMBA = Recipe(
    source="Ma et al. 2024, arXiv:2401.04722, which trains as nnU-Net does",
    initial_lr=1e-2,
    final_lr=None,
    weight_decay=3e-5,
    num_epochs=1000,
    optimizer="SGD",
    p_rotation=None,
    save_every=10,
)

# The papers' own, Adam with 3e-4 and no augmentation, leaves these networks under-trained.
TUMOUR = Recipe(
    source="epochs of Crews and Whalen 2024; optimiser and schedule of Wu et al. 2024, arXiv:2403.20035, section 4.2",
    initial_lr=1e-3,
    final_lr=1e-5,
    weight_decay=1e-2,
    num_epochs=100,
)
