"""``nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerUMambaBotTumour``."""

from nnunet_mamba import presets
from nnunet_mamba.training import recipes
from nnunet_mamba.training.preset_trainer import PresetTrainer


class nnUNetTrainerUMambaBotTumour(PresetTrainer):
    """UMambaBot of the tumour papers (Crews and Whalen 2024), five fixed stages; 2D and 3D configurations."""

    preset = presets.U_MAMBA_BOT_TUMOUR
    recipe = recipes.TUMOUR
    paper_recipe = recipes.TUMOUR_PAPER
