"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerUltraLBMTDistill``, after nnUNetTrainerUltraLBM."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.distillation.trainer import DistillationTrainer


class nnUNetTrainerUltraLBMTDistill(DistillationTrainer):
    """UltraLBM-UNet-T (Fan et al. 2025), distilled from a trained UltraLBM-UNet; 2D and 3D configurations."""

    preset = presets.ULTRALBM_UNET_T
    teacher_preset = presets.ULTRALBM_UNET
    recipe = recipes.ULTRALBM_UNET
    paper_recipe = recipes.ULTRALBM_UNET_PAPER
