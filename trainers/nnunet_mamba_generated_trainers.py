"""Trainers with a budget in their name, such as ``nnUNetTrainerUltraLightVM_20epochs``."""

from nnunet_mamba.training.generated_trainers import trainer_with_budget


# nnU-Net asks every module for the trainer's name with hasattr.
def __getattr__(name: str) -> type:
    return trainer_with_budget(name)
