"""Trainers with suffixes in their name, such as ``nnUNetTrainerUltraLightVM_nnunet_20epochs``."""

from nnunet_mamba.training.generated_trainers import load_trainer_with_suffixes


# nnU-Net asks every module for the trainer's name with hasattr.
def __getattr__(name: str) -> type:
    return load_trainer_with_suffixes(name)
