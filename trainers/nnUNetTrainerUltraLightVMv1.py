"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerUltraLightVMv1``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerUltraLightVMv1(PresetTrainer):
    """UL-VM-UNet v1, five levels (Crews and Whalen 2024); 2D and 3D configurations."""

    preset = presets.UL_VM_UNET_V1
    recipe = recipes.TUMOUR
    paper_recipe = recipes.TUMOUR_PAPER
