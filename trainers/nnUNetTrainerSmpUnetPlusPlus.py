"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerSmpUnetPlusPlus``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerSmpUnetPlusPlus(PresetTrainer):
    """UNet++ of segmentation-models-pytorch (Zhou et al. 2018, arXiv:1807.10165); 2D configurations."""

    preset = presets.SMP_UNET_PLUS_PLUS
    recipe = recipes.VM_UNET
    paper_recipe = recipes.VM_UNET_PAPER
