"""For ``nnUNet_extTrainer``: the trainers of an ablation, such as ``nnUNetTrainerUltraLightVMAblation_ema_…``."""

from recipe_ablations.variants import ablation_trainer


# nnU-Net asks every module for the trainer's name with hasattr.
def __getattr__(name: str) -> type:
    return ablation_trainer(name)
