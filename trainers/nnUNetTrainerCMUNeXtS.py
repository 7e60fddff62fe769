"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerCMUNeXtS``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerCMUNeXtS(PresetTrainer):
    """CMUNeXt-S (Tang et al. 2024, arXiv:2308.01239); 2D configurations."""

    preset = presets.CMUNEXT_S
    recipe = recipes.ULTRALBM_UNET
    paper_recipe = recipes.ULTRALBM_UNET_PAPER
