"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerUMambaBot``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerUMambaBot(PresetTrainer):
    """U-Mamba-Bot (Ma et al. 2024, arXiv:2401.04722), stages from the plans; 2D and 3D configurations."""

    preset = presets.U_MAMBA_BOT
    recipe = recipes.U_MAMBA
