"""Tell nnU-Net where the bundled trainers are; called once at interpreter start by packaging/nnunet_mamba.pth."""

import os

from nnunet_mamba.bundled import trainers_folder

SEARCH_PATH = "nnUNet_extTrainer"
OPT_OUT = "NNUNET_MAMBA_NO_STARTUP"


def append_trainers() -> None:
    """Append the bundled trainers to ``$nnUNet_extTrainer``; what the user set there stays and comes first."""
    if os.environ.get(OPT_OUT):
        return
    folder = trainers_folder()
    folders = [part for part in os.environ.get(SEARCH_PATH, "").split(os.pathsep) if part]
    if folder not in folders:
        os.environ[SEARCH_PATH] = os.pathsep.join([*folders, folder])
