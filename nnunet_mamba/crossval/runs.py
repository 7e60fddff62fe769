"""A run of a cross-validation, and how far it is: what nnU-Net's own files say, and nothing else."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nnunet_mamba.report.collect import read_json

LOGS = "crossval_logs"
CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth")
SPARE = "checkpoint_previous.pth"

Stage = Literal["new", "begun", "trained", "complete"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One fold of one trainer.

    Args:
        dataset: name of the data set's folder.
        configuration: "2d", "3d_fullres", …
        trainer: class name, as given to ``-tr``.
        plans: name of the plans, as given to ``-p``.
        fold: index into splits_final.json.
        results: ``$nnUNet_results``.
    """

    dataset: str
    configuration: str
    trainer: str
    plans: str
    fold: int
    results: Path

    @property
    def model(self) -> str:
        """What all folds of one trainer share, as nnU-Net names their folder."""
        return f"{self.trainer}__{self.plans}__{self.configuration}"

    @property
    def name(self) -> str:
        """Unique among the runs of a data set."""
        return f"{self.model}__fold_{self.fold}"

    @property
    def folder(self) -> Path:
        """Where nnU-Net writes this fold."""
        return self.results / self.dataset / self.model / f"fold_{self.fold}"

    @property
    def log(self) -> Path:
        """Where all that the training prints is kept, one attempt after the other."""
        return self.results / self.dataset / LOGS / f"{self.name}.log"

    @property
    def summary(self) -> Path:
        """What nnU-Net's final validation writes last."""
        return self.folder / "validation" / "summary.json"

    def stage(self, *, npz: bool = False) -> Stage:
        """Return how far the run is.

        Args:
            npz: complete means with the probabilities of the validation cases, which ensembling needs.
        """
        checkpoints = [name for name in CHECKPOINTS if (self.folder / name).exists()]
        if "checkpoint_final.pth" not in checkpoints:
            return "begun" if checkpoints else "new"
        validated = self.summary.exists() and (not npz or any(self.summary.parent.glob("*.npz")))
        return "complete" if validated else "trained"

    def dice(self) -> float:
        """Return nnU-Net's mean Dice of the final validation, over cases and then over labels or regions.

        Raises:
            ValueError: the file is not one of nnU-Net's summaries.
        """
        try:
            return float(read_json(self.summary)["foreground_mean"]["Dice"])
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{self.summary} has no foreground_mean with a Dice, expected nnU-Net's; delete it and run again"
            ) from error


def set_damaged_checkpoints_aside(folder: Path) -> list[Path]:
    """Rename the checkpoints of a fold that are not whole, so that nnU-Net continues from the one before.

    nnU-Net's own trainers write checkpoints in place, so a training that was killed meanwhile leaves part of one.
    Ours keep a spare, which they find themselves.

    Args:
        folder: of a fold that nobody is training.

    Returns:
        The files as they are called then.
    """
    aside: list[Path] = []
    if (folder / SPARE).exists():
        return aside
    for name in CHECKPOINTS:
        checkpoint = folder / name
        # torch writes zip files, whose directory comes last.
        if checkpoint.exists() and not zipfile.is_zipfile(checkpoint):
            aside.append(checkpoint.replace(checkpoint.with_suffix(".pth.damaged")))
    return aside


def newest_checkpoint(folder: Path) -> float:
    """Return when the last checkpoint of a fold was written, in seconds since the epoch; 0 if there is none."""
    times = [(folder / name).stat().st_mtime for name in CHECKPOINTS if (folder / name).exists()]
    return max(times, default=0.0)
