"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerMonaiSwinUNETR``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerMonaiSwinUNETR(PresetTrainer):
    """Swin UNETR of MONAI (Hatamizadeh et al. 2022, arXiv:2201.01266); 2D and 3D configurations."""

    preset = presets.MONAI_SWIN_UNETR
    recipe = recipes.VM_UNET
    paper_recipe = recipes.VM_UNET_PAPER
