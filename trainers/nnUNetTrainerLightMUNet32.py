"""``nnUNetv2_train DATASET 2d FOLD -tr nnUNetTrainerLightMUNet32``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerLightMUNet32(PresetTrainer):
    """LightM-UNet with 32 base filters (Liao et al. 2024, arXiv:2403.05246); 2D configurations."""

    preset = presets.LIGHTM_UNET_32
    recipe = recipes.ULTRALIGHT_VM_UNET
