"""Tell nnU-Net where the bundled trainers are; called once at interpreter start by packaging/nnunet_mamba.pth."""

import os

from nnunet_mamba.bundled import trainers_folder

SEARCH_PATH = "nnUNet_extTrainer"
OPT_OUT = "NNUNET_MAMBA_NO_STARTUP"
# In the folder of trainers of every nnunet-mamba.
LOADER_FILE = "nnunet_mamba_generated_trainers.py"


def append_trainers() -> None:
    """Append the bundled trainers to ``$nnUNet_extTrainer``; what the user set there stays and comes first.

    Trainers of another nnunet-mamba, as of the environment that started this process, would not fit this package: its
    folder is taken out.
    """
    if os.environ.get(OPT_OUT):
        return
    try:
        folder = trainers_folder()
    except FileNotFoundError:
        # A damaged installation is no business of every Python process; nnunet-mamba doctor tells.
        return
    folders = [part for part in os.environ.get(SEARCH_PATH, "").split(os.pathsep) if part]
    kept = [part for part in folders if part == folder or not os.path.isfile(os.path.join(part, LOADER_FILE))]
    if folder not in kept:
        kept.append(folder)
    os.environ[SEARCH_PATH] = os.pathsep.join(kept)
