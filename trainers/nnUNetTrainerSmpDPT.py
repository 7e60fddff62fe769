"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerSmpDPT``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerSmpDPT(PresetTrainer):
    """DPT of segmentation-models-pytorch (Ranftl et al. 2021, arXiv:2103.13413); 2D configurations."""

    preset = presets.SMP_DPT
    recipe = recipes.VM_UNET
    paper_recipe = recipes.VM_UNET_PAPER
