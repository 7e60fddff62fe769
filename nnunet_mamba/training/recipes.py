"""How networks are trained, as data: each paper's way, nnU-Net's, and a better one where the paper's is poor."""

from dataclasses import dataclass, replace
from typing import Literal

from nnunet_mamba.training.augmentation.choices import FLIPS_AND_ROTATIONS, NONE, PHOTOGRAPHS, Augmentation
from nnunet_mamba.training.augmentation.choices import NNUNET as NNUNETS_AUGMENTATION


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Optimiser, schedule, augmentation and budget; an epoch is nnU-Net's 250 iterations.

    Args:
        source: paper and section the numbers are taken from.
        initial_lr: learning rate at the first epoch.
        final_lr: bottom of a cosine whose top is ``initial_lr``; None for nnU-Net's polynomial, which ends in 0.
        half_waves: how often the cosine goes down or up in the run; 0 for a constant rate.
        weight_decay: weight decay of matrices and convolution kernels; decoupled in AdamW.
        num_epochs: epochs of the whole run.
        largest_batch_size: cases per batch that the source trains with; plans for the network's memory may have fewer,
            not more. None where nothing but the memory bounds it.
        optimizer: "AdamW", "Adam", or "SGD" with nnU-Net's Nesterov momentum of 0.99.
        augmentation: how training images are varied.
        mirrors: whether training images are mirrored and predictions averaged over mirrored images.
        ema_decay: of the average of the weights that validates and predicts (``averaged_weights``), per training step;
            None for the weights of the last step.
        save_every: epochs between two writings of ``checkpoint_latest.pth``.
    """

    source: str
    initial_lr: float
    final_lr: float | None = 1e-5
    half_waves: int = 1
    weight_decay: float
    num_epochs: int
    largest_batch_size: int | None
    optimizer: Literal["AdamW", "Adam", "SGD"] = "AdamW"
    augmentation: Augmentation = FLIPS_AND_ROTATIONS
    mirrors: bool = True
    ema_decay: float | None = None
    # These checkpoints are small, and an epoch on a CPU takes minutes that nobody wants to lose.
    save_every: int = 1


NNUNET = Recipe(
    source="Isensee et al. 2021, doi:10.1038/s41592-020-01008-z; nnUNetTrainer of nnU-Net 2.8",
    optimizer="SGD",
    initial_lr=1e-2,
    final_lr=None,
    weight_decay=3e-5,
    num_epochs=1000,
    largest_batch_size=None,
    augmentation=NNUNETS_AUGMENTATION,
    save_every=10,
)

U_MAMBA = replace(NNUNET, source="Ma et al. 2024, arXiv:2401.04722, which trains as nnU-Net does")

ULTRALIGHT_VM_UNET = Recipe(
    source="Wu et al. 2024, arXiv:2403.20035, section 4.2; weight decay of github.com/wurenkai/UltraLight-VM-UNet",
    initial_lr=1e-3,
    weight_decay=1e-2,
    num_epochs=200,
    largest_batch_size=8,
)

VM_UNET_PAPER = Recipe(
    source="Ruan et al. 2024, arXiv:2402.02491, section IV.B; weight decay of github.com/JCruan519/VM-UNet",
    initial_lr=1e-3,
    half_waves=6,
    weight_decay=1e-2,
    num_epochs=300,
    largest_batch_size=32,
    save_every=5,
)

ULTRALBM_UNET_PAPER = Recipe(
    source="Fan et al. 2025, UltraLBM-UNet, section 4.2",
    initial_lr=1e-3,
    half_waves=6,
    weight_decay=1e-2,
    num_epochs=300,
    largest_batch_size=8,
)

MALUNET_PAPER = replace(
    ULTRALBM_UNET_PAPER,
    source="Ruan et al. 2022, arXiv:2211.01784, and 2023, arXiv:2307.08473; weight decay as in their VM-UNet",
)

# Half waves of 50 epochs, as these papers have them, end a run of 300 at the highest rate; nnU-Net evaluates the
# last epoch.
VM_UNET = replace(VM_UNET_PAPER, source=f"{VM_UNET_PAPER.source}; one half wave", half_waves=1)
ULTRALBM_UNET = replace(ULTRALBM_UNET_PAPER, source=f"{ULTRALBM_UNET_PAPER.source}; one half wave", half_waves=1)
MALUNET = replace(MALUNET_PAPER, source=f"{MALUNET_PAPER.source}; one half wave", half_waves=1)

TUMOUR_PAPER = Recipe(
    source="Crews and Whalen 2024, Mamba-Based Tumor Segmentation, section VIII and appendix A",
    optimizer="Adam",
    initial_lr=3e-4,
    half_waves=0,
    weight_decay=0,
    num_epochs=100,
    largest_batch_size=32,
    augmentation=NONE,
    mirrors=False,
)

# The papers' own recipe leaves these networks under-trained.
TUMOUR = Recipe(
    source="epochs and batch of Crews and Whalen 2024; the rest of Wu et al. 2024, arXiv:2403.20035, section 4.2",
    initial_lr=1e-3,
    weight_decay=1e-2,
    num_epochs=100,
    largest_batch_size=32,
)


def robust(recipe: Recipe) -> Recipe:
    """Return a recipe for networks that meet photographs of other cameras, clinics and skin than they trained on.

    Optimiser, schedule and budget stay. Images are varied more, and the averaged weights predict.

    Args:
        recipe: of a trainer.
    """
    return replace(
        recipe,
        source=f"{recipe.source}; augmentation and averaged weights are ours",
        augmentation=PHOTOGRAPHS,
        mirrors=True,
        # The last thousand steps, four epochs: 0.9999 would still hold the first of thirty.
        ema_decay=0.999,
    )
