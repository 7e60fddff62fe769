"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerUNeXt``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerUNeXt(PresetTrainer):
    """UNeXt (Valanarasu and Patel 2022, arXiv:2203.04967); 2D configurations."""

    preset = presets.UNEXT
    recipe = recipes.ULTRALBM_UNET
    paper_recipe = recipes.ULTRALBM_UNET_PAPER
