"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerUltraLBMNoMamba``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerUltraLBMNoMamba(PresetTrainer):
    """UltraLBM-UNet with local blocks alone; 2D and 3D configurations."""

    preset = presets.ULTRALBM_UNET_NO_MAMBA
    recipe = recipes.ULTRALBM_UNET
    paper_recipe = recipes.ULTRALBM_UNET_PAPER
