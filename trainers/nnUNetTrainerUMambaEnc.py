"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerUMambaEnc``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerUMambaEnc(PresetTrainer):
    """U-Mamba-Enc (Ma et al. 2024, arXiv:2401.04722): stages and patch size of the plans; 2D, 3D configurations."""

    preset = presets.U_MAMBA_ENC
    recipe = recipes.U_MAMBA
