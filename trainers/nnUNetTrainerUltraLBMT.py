"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerUltraLBMT``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerUltraLBMT(PresetTrainer):
    """UltraLBM-UNet-T (Fan et al. 2025), not distilled; 2D and 3D configurations."""

    preset = presets.ULTRALBM_UNET_T
    recipe = recipes.ULTRALBM_UNET
    paper_recipe = recipes.ULTRALBM_UNET_PAPER
