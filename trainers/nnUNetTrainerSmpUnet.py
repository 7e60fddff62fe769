"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerSmpUnet``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerSmpUnet(PresetTrainer):
    """U-Net of segmentation-models-pytorch (Ronneberger et al. 2015, arXiv:1505.04597); 2D configurations."""

    preset = presets.SMP_UNET
    recipe = recipes.VM_UNET
    paper_recipe = recipes.VM_UNET_PAPER
