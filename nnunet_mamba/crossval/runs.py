"""A run of a cross-validation, and how far it is: what nnU-Net's own files say, and nothing else."""

import math
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nnunet_mamba.system.json_files import read_json_object

LOGS = "crossval_logs"
# In the order in which nnU-Net looks for the one to continue from.
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

    @property
    def is_trained(self) -> bool:
        """Whether its last epoch is over."""
        # os.path: a disk of the network that does not answer for a moment is no error to whoever looks on.
        return os.path.exists(self.folder / CHECKPOINTS[0])

    def stage(self, *, npz: bool = False) -> Stage:
        """Return how far the run is.

        Args:
            npz: complete means with the probabilities of all validation cases, which ensembling needs.
        """
        if not self.is_trained:
            return "new" if checkpoint_to_continue(self.folder) is None else "begun"
        return "complete" if self._is_validated(npz=npz) else "trained"

    def _is_validated(self, *, npz: bool) -> bool:
        # nnU-Net writes the summary last, and in place: a full disk leaves part of one.
        try:
            self.dice()
        except (FileNotFoundError, ValueError):
            return False
        if not npz:
            return True
        # A later validation that was interrupted leaves probabilities that are newer, the last of them perhaps torn.
        times = [path.stat().st_mtime for path in self.summary.parent.glob("*.npz")]
        cases = read_json_object(self.summary).get("metric_per_case", ())
        n_cases = len(cases) if isinstance(cases, list) else 0
        return len(times) >= max(1, n_cases) and max(times) <= self.summary.stat().st_mtime

    def dice(self) -> float:
        """Return nnU-Net's mean Dice of the final validation, over cases and then over labels or regions.

        Raises:
            ValueError: the file is not one of nnU-Net's summaries.
        """
        try:
            dice = read_json_object(self.summary)["foreground_mean"]["Dice"]
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{self.summary} has no foreground_mean with a Dice, expected nnU-Net's; delete it and run again"
            ) from error
        # A fold without foreground has NaN.
        if isinstance(dice, bool) or not isinstance(dice, int | float) or not (math.isnan(dice) or 0 <= dice <= 1):
            raise ValueError(f"{self.summary} has the Dice {dice!r}, expected 0 to 1; delete it and run again")
        return float(dice)


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


def checkpoint_to_continue(folder: Path) -> Path | None:
    """Return the checkpoint of a fold with which nnU-Net's ``--c`` goes on, which need not be the newest."""
    return next((folder / name for name in CHECKPOINTS if (folder / name).exists()), None)
