"""What a cross-validation ends in: Dice of every fold and trainer, and nnU-Net's command that goes on from there."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from nnunet_mamba.crossval.runs import Run


@dataclass(frozen=True, kw_only=True)
class Score:
    """Dice of one trainer.

    Args:
        model: trainer, plans and configuration, as nnU-Net names their folder.
        dice: of each fold's final validation; nan for a fold without foreground, missing for one that is not complete.
    """

    model: str
    dice: dict[int, float]

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return mean(known) if (known := self._known()) else math.nan

    @property
    def deviation(self) -> float:
        """Sample standard deviation over the folds; nan for fewer than two."""
        return stdev(known) if len(known := self._known()) > 1 else math.nan

    def _known(self) -> list[float]:
        return [dice for dice in self.dice.values() if not math.isnan(dice)]


def scores(runs: Sequence[Run]) -> list[Score]:
    """Return the Dice of every trainer that has a complete fold among ``runs``.

    Raises:
        ValueError: a summary.json is not nnU-Net's.
    """
    complete = [run for run in runs if run.stage() == "complete"]
    models = list(dict.fromkeys(run.model for run in complete))
    return [
        Score(model=model, dice={run.fold: run.dice() for run in complete if run.model == model}) for model in models
    ]


def find_best_command(runs: Sequence[Run], *, npz: bool) -> str:
    """Return nnU-Net's command that compares the trainers over these folds and chooses the postprocessing.

    Args:
        runs: all of them complete, every trainer with every fold and plans.
        npz: probabilities are there, so that ensembles can be compared too.
    """
    trainers = dict.fromkeys(run.trainer for run in runs)
    plans = dict.fromkeys(run.plans for run in runs)
    folds = sorted({run.fold for run in runs})
    words = ["nnUNetv2_find_best_configuration", runs[0].dataset, "-c", runs[0].configuration]
    words += ["-tr", *trainers, "-p", *plans, "-f", *map(str, folds)]
    return shlex.join(words if npz else [*words, "--disable_ensembling"])
