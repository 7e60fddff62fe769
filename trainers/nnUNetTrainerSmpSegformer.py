"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerSmpSegformer``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerSmpSegformer(PresetTrainer):
    """SegFormer of segmentation-models-pytorch (Xie et al. 2021, arXiv:2105.15203); 2D configurations."""

    preset = presets.SMP_SEGFORMER
    recipe = recipes.VM_UNET
    paper_recipe = recipes.VM_UNET_PAPER
