"""``nnunet-mamba trainers-path``."""

from nnunet_mamba.bundled import trainers_folder


def trainers_path() -> None:
    """Print the folder of the trainers: export nnUNet_extTrainer=$(nnunet-mamba trainers-path)."""
    print(trainers_folder())
