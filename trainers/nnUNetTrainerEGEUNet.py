"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerEGEUNet``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerEGEUNet(PresetTrainer):
    """EGE-UNet (Ruan et al. 2023, arXiv:2307.08473), its masks supervised, too; 2D configurations."""

    preset = presets.EGE_UNET
    recipe = recipes.MALUNET
    paper_recipe = recipes.MALUNET_PAPER
