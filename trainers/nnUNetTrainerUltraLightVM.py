"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerUltraLightVM``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerUltraLightVM(PresetTrainer):
    """UltraLight VM-UNet (Wu et al. 2024, arXiv:2403.20035); 2D and 3D configurations."""

    preset = presets.ULTRALIGHT_VM_UNET
    recipe = recipes.ULTRALIGHT_VM_UNET
