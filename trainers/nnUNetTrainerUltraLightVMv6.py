"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerUltraLightVMv6``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerUltraLightVMv6(PresetTrainer):
    """UL-VM-UNet v6, wide, pyramid pooling at the bottleneck (Crews and Whalen 2024); 2D and 3D configurations."""

    preset = presets.UL_VM_UNET_V6
    recipe = recipes.TUMOUR
    paper_recipe = recipes.TUMOUR_PAPER
