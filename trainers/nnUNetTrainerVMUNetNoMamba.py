"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerVMUNetNoMamba``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerVMUNetNoMamba(PresetTrainer):
    """VM-UNet without its scans; 2D configurations."""

    preset = presets.VM_UNET_NO_MAMBA
    recipe = recipes.VM_UNET
    paper_recipe = recipes.VM_UNET_PAPER
