"""How far a fold is: what nnU-Net's own files say, and nothing else."""

from pathlib import Path
from typing import Literal

from nnunet_mamba.results.checkpoints import checkpoint_to_continue, is_trained
from nnunet_mamba.results.layout import validation_summary
from nnunet_mamba.results.summaries import count_cases, read_mean_dice

Phase = Literal["new", "begun", "trained", "complete"]


def phase_of(fold: Path, *, npz: bool = False) -> Phase:
    """Return how far a fold is.

    Args:
        fold: the fold's folder; need not exist.
        npz: complete means with the probabilities of all validation cases, which ensembling needs.
    """
    if not is_trained(fold):
        return "new" if checkpoint_to_continue(fold) is None else "begun"
    return "complete" if _is_validated(validation_summary(fold), npz=npz) else "trained"


def _is_validated(summary: Path, *, npz: bool) -> bool:
    # nnU-Net writes the summary last, and in place: a full disk leaves part of one.
    try:
        read_mean_dice(summary)
    except (FileNotFoundError, ValueError):
        return False
    if not npz:
        return True
    # A later validation that was interrupted leaves probabilities that are newer, the last of them perhaps torn.
    times = [path.stat().st_mtime for path in summary.parent.glob("*.npz")]
    return len(times) >= max(1, count_cases(summary)) and max(times) <= summary.stat().st_mtime
