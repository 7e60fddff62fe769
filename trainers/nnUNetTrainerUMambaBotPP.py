"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerUMambaBotPP``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerUMambaBotPP(PresetTrainer):
    """UMambaBot-PP (Crews and Whalen 2024), stages from the plans; 2D and 3D configurations."""

    preset = presets.U_MAMBA_BOT_PP
    recipe = recipes.NNUNET
    paper_recipe = recipes.TUMOUR_PAPER
