"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerMonaiUNETR``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerMonaiUNETR(PresetTrainer):
    """UNETR of MONAI (Hatamizadeh et al. 2021, arXiv:2103.10504); 2D and 3D configurations."""

    preset = presets.MONAI_UNETR
    recipe = recipes.VM_UNET
    paper_recipe = recipes.VM_UNET_PAPER
