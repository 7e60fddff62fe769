"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerUNetTumour``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerUNetTumour(PresetTrainer):
    """The U-Net that the tumour papers compare with (Crews and Whalen 2024); 2D configurations."""

    preset = presets.UNET_TUMOUR
    recipe = recipes.TUMOUR
    paper_recipe = recipes.TUMOUR_PAPER
