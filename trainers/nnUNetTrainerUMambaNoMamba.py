"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerUMambaNoMamba``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerUMambaNoMamba(PresetTrainer):
    """U-Mamba without its Mamba layer, stages from the plans; 2D and 3D configurations."""

    preset = presets.U_MAMBA_NO_MAMBA
    recipe = recipes.U_MAMBA
