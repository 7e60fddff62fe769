"""How the papers trained their networks, as data."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Optimiser, schedule and budget of one paper; an epoch is nnU-Net's 250 iterations.

    Args:
        source: paper and section the numbers are taken from.
        initial_lr: AdamW's learning rate at the first epoch.
        final_lr: learning rate that one cosine over the whole run ends in.
        weight_decay: decoupled weight decay of matrices and convolution kernels.
        num_epochs: epochs of the whole run.
        p_rotation: probability that a training image is rotated.
        save_every: epochs between two writings of ``checkpoint_latest.pth``.
    """

    source: str
    initial_lr: float
    final_lr: float
    weight_decay: float
    num_epochs: int
    p_rotation: float = 0.5
    # These checkpoints are small, and an epoch on a CPU takes minutes that nobody wants to lose.
    save_every: int = 1


ULTRALIGHT_VM_UNET = Recipe(
    source="Wu et al. 2024, arXiv:2403.20035, section 4.2; weight decay of github.com/wurenkai/UltraLight-VM-UNet",
    initial_lr=1e-3,
    final_lr=1e-5,
    weight_decay=1e-2,
    num_epochs=200,
)
