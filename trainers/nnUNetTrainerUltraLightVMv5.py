"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerUltraLightVMv5``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerUltraLightVMv5(PresetTrainer):
    """UL-VM-UNet v5, wide (Crews and Whalen 2024); 2D and 3D configurations."""

    preset = presets.UL_VM_UNET_V5
    recipe = recipes.TUMOUR
    paper_recipe = recipes.TUMOUR_PAPER
