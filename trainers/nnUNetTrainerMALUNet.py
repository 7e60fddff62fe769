"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerMALUNet``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerMALUNet(PresetTrainer):
    """MALUNet (Ruan et al. 2022, arXiv:2211.01784); 2D configurations."""

    preset = presets.MALUNET
    recipe = recipes.MALUNET
    paper_recipe = recipes.MALUNET_PAPER
