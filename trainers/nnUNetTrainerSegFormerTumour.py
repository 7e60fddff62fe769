"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerSegFormerTumour``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerSegFormerTumour(PresetTrainer):
    """SegFormer as the tumour papers compare with it (Crews and Whalen 2024); 2D configurations."""

    preset = presets.SEGFORMER_TUMOUR
    recipe = recipes.TUMOUR
    paper_recipe = recipes.TUMOUR_PAPER
