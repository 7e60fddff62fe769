"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerLightMUNet``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerLightMUNet(PresetTrainer):
    """LightM-UNet of UltraLight VM-UNet's tables (Liao et al. 2024, arXiv:2403.05246); 2D configurations."""

    preset = presets.LIGHTM_UNET
    recipe = recipes.ULTRALIGHT_VM_UNET
