"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerMonaiUnetPlusPlus``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerMonaiUnetPlusPlus(PresetTrainer):
    """UNet++ of MONAI (Zhou et al. 2018, arXiv:1807.10165); 2D and 3D configurations."""

    preset = presets.MONAI_UNET_PLUS_PLUS
    recipe = recipes.VM_UNET
    paper_recipe = recipes.VM_UNET_PAPER
