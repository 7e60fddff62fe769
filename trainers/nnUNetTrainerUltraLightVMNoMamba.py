"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerUltraLightVMNoMamba``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerUltraLightVMNoMamba(PresetTrainer):
    """UltraLight VM-UNet with convolutions in place of its PVM layers; 2D and 3D configurations."""

    preset = presets.ULTRALIGHT_VM_UNET_NO_MAMBA
    recipe = recipes.ULTRALIGHT_VM_UNET
