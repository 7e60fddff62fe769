"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerVMUNet``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerVMUNet(PresetTrainer):
    """VM-UNet (Ruan et al. 2024, arXiv:2402.02491); 2D configurations."""

    preset = presets.VM_UNET
    recipe = recipes.VM_UNET
    paper_recipe = recipes.VM_UNET_PAPER
