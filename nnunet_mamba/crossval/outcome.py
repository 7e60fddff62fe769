"""What a cross-validation ends with: Dice of every fold, trainer and seed, and nnU-Net's next command."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from nnunet_mamba.crossval.runs import Run


@dataclass(frozen=True, kw_only=True)
class Score:
    """Dice of one trainer: of each of its folds, or, as the mean over the folds, of each of its seeds.

    Args:
        model: trainer, plans and configuration, as nnU-Net names their folder.
        dice: by fold, of each complete one's final validation, nan without any foreground; or by seed, nan where not
            all of its folds are complete.
    """

    model: str
    dice: Mapping[int, float]

    @property
    def mean(self) -> float:
        """Mean over the folds or seeds."""
        return mean(known) if (known := self._known()) else math.nan

    @property
    def deviation(self) -> float:
        """Sample standard deviation over the folds or seeds; nan for fewer than two."""
        return stdev(known) if len(known := self._known()) > 1 else math.nan

    def _known(self) -> list[float]:
        return [dice for dice in self.dice.values() if not math.isnan(dice)]


def scores(runs: Sequence[Run]) -> list[Score]:
    """Return the Dice of every trainer that has a complete fold among ``runs``.

    Raises:
        ValueError: a summary.json is not nnU-Net's.
    """
    complete = [run for run in runs if run.phase() == "complete"]
    models = list(dict.fromkeys(run.model for run in complete))
    return [
        Score(model=model, dice={run.fold: run.dice() for run in complete if run.model == model}) for model in models
    ]


def scores_over_seeds(runs: Sequence[Run]) -> list[Score]:
    """Return the Dice by seed of every trainer that ``runs`` has with several seeds.

    A seed's Dice is the mean over its folds, so one that lacks a fold does not count: its mean is of other cases.

    Raises:
        ValueError: a summary.json is not nnU-Net's.
    """
    repeats: dict[str, dict[int, list[Run]]] = {}
    for run in runs:
        if run.seed is not None:
            repeats.setdefault(run.model_of_all_seeds, {}).setdefault(run.seed, []).append(run)
    return [
        Score(model=model, dice={seed: _mean_of_all(of_seed[seed]) for seed in sorted(of_seed)})
        for model, of_seed in repeats.items()
        if len(of_seed) > 1
    ]


def _mean_of_all(folds: Sequence[Run]) -> float:
    """Return the mean Dice over folds of one training; nan if one is not complete."""
    found = scores(folds)
    return found[0].mean if found and len(found[0].dice) == len(folds) else math.nan


def find_best_commands(runs: Sequence[Run], *, npz: bool) -> list[str]:
    """Return nnU-Net's command that compares the trainers over these folds and chooses the postprocessing.

    Trainers with plans of their own get a command each, because nnU-Net takes every trainer with all of the plans.

    Args:
        runs: all of them complete, every trainer with the same folds.
        npz: probabilities are there, so that ensembles can be compared too.
    """
    plans_of: dict[str, dict[str, None]] = {}
    for run in runs:
        plans_of.setdefault(run.trainer, {})[run.plans] = None
    trainers_of: dict[tuple[str, ...], list[str]] = {}
    for trainer, plans in plans_of.items():
        trainers_of.setdefault(tuple(plans), []).append(trainer)
    folds = sorted({run.fold for run in runs})
    commands = []
    for all_plans, trainers in trainers_of.items():
        words = ["nnUNetv2_find_best_configuration", runs[0].dataset, "-c", runs[0].configuration]
        words += ["-tr", *trainers, "-p", *all_plans, "-f", *map(str, folds)]
        commands.append(shlex.join(words if npz else [*words, "--disable_ensembling"]))
    return commands
