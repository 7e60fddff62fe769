"""Names of the checkpoints in a fold's folder, and which of them goes on."""

import os
from pathlib import Path

FINAL = "checkpoint_final.pth"
LATEST = "checkpoint_latest.pth"
BEST = "checkpoint_best.pth"
# The latest one before LATEST, which only the trainers of nnunet-mamba keep.
SPARE = "checkpoint_previous.pth"
# In the order in which nnU-Net looks for the one to continue from.
CONTINUED_FROM = (FINAL, LATEST, BEST)


def is_trained(fold: Path) -> bool:
    """Return whether a fold's last epoch is over.

    Args:
        fold: the fold's folder; need not exist.
    """
    return has_checkpoint(fold, FINAL)


def has_checkpoint(fold: Path, name: str) -> bool:
    """Return whether a fold has a checkpoint of this name.

    Args:
        fold: the fold's folder; need not exist.
        name: of the file.
    """
    # os.path: a disk of the network that does not answer for a moment is no error to whoever looks on.
    return os.path.exists(fold / name)


def checkpoint_to_continue(fold: Path) -> Path | None:
    """Return the checkpoint with which nnU-Net's ``--c`` goes on, which need not be the newest; None without any.

    Args:
        fold: the fold's folder; need not exist.
    """
    return next((fold / name for name in CONTINUED_FROM if (fold / name).exists()), None)
