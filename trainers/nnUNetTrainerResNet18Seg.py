"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerResNet18Seg``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerResNet18Seg(PresetTrainer):
    """ResNet18 as the tumour papers compare with it (Crews and Whalen 2024); 2D configurations."""

    preset = presets.RESNET18_SEG
    recipe = recipes.TUMOUR
    paper_recipe = recipes.TUMOUR_PAPER
