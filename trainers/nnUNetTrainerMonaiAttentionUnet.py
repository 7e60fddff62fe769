"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerMonaiAttentionUnet``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerMonaiAttentionUnet(PresetTrainer):
    """Attention U-Net of MONAI (Oktay et al. 2018, arXiv:1804.03999); 2D and 3D configurations."""

    preset = presets.MONAI_ATTENTION_UNET
    recipe = recipes.VM_UNET
    paper_recipe = recipes.VM_UNET_PAPER
