"""How far a training is, by the files that stock nnU-Net writes into the fold's folder while it trains."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from nnunet_mamba.results.training_logs import Epoch, planned_epochs, read_training_log, training_logs

_RECENT = 10


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a training is.

    Args:
        n_done: epochs that are finished.
        n_epochs: of the whole training; None before nnU-Net has told.
        train_loss: of the last epoch.
        pseudo_dice: of the last epoch, mean over labels or regions.
        epoch_seconds: mean of the last epochs.
    """

    n_done: int = 0
    n_epochs: int | None = None
    train_loss: float = math.nan
    pseudo_dice: float = math.nan
    epoch_seconds: float = math.nan

    @property
    def seconds_left(self) -> float:
        """Until the last epoch ends; nan while it is unknown."""
        if self.n_epochs is None:
            return math.nan
        left = max(0, self.n_epochs - self.n_done)
        return left * self.epoch_seconds if left else 0.0


class ProgressReader:
    """Reads the progress of one fold; logs that have not grown are not read again.

    Args:
        folder: of the fold; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: object = None
        self._progress = Progress()

    def read(self) -> Progress:
        """Return the progress at this moment."""
        logs = training_logs(self._folder)
        sizes = [(log.name, log.stat().st_size) for log in logs]
        if sizes != self._seen:
            self._seen = sizes
            self._progress = _progress(read_training_log(logs), planned_epochs(self._folder))
        return self._progress


def _progress(epochs: Sequence[Epoch], n_epochs: int | None) -> Progress:
    # nnU-Net logs the epoch's time last.
    finished = [epoch for epoch in epochs if not math.isnan(epoch.seconds)]
    if not finished:
        return Progress(n_epochs=n_epochs)
    last = finished[-1]
    scores = [score for score in last.pseudo_dice if not math.isnan(score)]
    return Progress(
        n_done=last.number + 1,
        n_epochs=n_epochs,
        train_loss=last.train_loss,
        pseudo_dice=mean(scores) if scores else math.nan,
        epoch_seconds=mean(epoch.seconds for epoch in finished[-_RECENT:]),
    )
