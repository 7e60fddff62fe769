"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerULite``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerULite(PresetTrainer):
    """U-Lite (Dinh et al. 2023, arXiv:2306.16103); 2D configurations."""

    preset = presets.U_LITE
    recipe = recipes.ULTRALBM_UNET
    paper_recipe = recipes.ULTRALBM_UNET_PAPER
