"""Figures of single models, and their mean and standard deviation over the folds and seeds of a training."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev

from nnunet_mamba.evaluation.protocols import LabelScores
from nnunet_mamba.external_tests.models_under_test import ModelGroup
from nnunet_mamba.results.confusion import mean


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of a model.

    Args:
        name: in files.
        heading: in tables, two lines.
        of: takes it from the scores of a label; NaN where there is none.
        is_length: whether it is in mm or pixels, and not 0 to 1.
    """

    name: str
    heading: str
    of: Callable[[LabelScores], float]
    is_length: bool = False


RATIOS = (
    Figure(name="dice", heading="mean Dice\nper case", of=lambda scores: scores.mean_case_dice),
    Figure(name="pooled_dice", heading="pooled\nDSC", of=lambda scores: scores.pooled.dice),
    Figure(name="pooled_iou", heading="pooled\nIoU", of=lambda scores: scores.pooled.iou),
    Figure(name="sensitivity", heading="pooled\nSE", of=lambda scores: scores.pooled.sensitivity),
    Figure(name="specificity", heading="pooled\nSP", of=lambda scores: scores.pooled.specificity),
    Figure(name="accuracy", heading="pooled\nACC", of=lambda scores: scores.pooled.accuracy),
)
DISTANCES = (
    Figure(name="hd95", heading="HD95", of=lambda scores: _distance(scores, "hd95"), is_length=True),
    Figure(name="nsd", heading="NSD", of=lambda scores: _distance(scores, "nsd")),
)


def _distance(scores: LabelScores, name: str) -> float:
    return math.nan if scores.distances is None else float(getattr(scores.distances, name))


@dataclass(frozen=True, kw_only=True)
class MeanScore:
    """What the models of one group reach on one label.

    Args:
        group: what the models share.
        label: its name.
        names: of the models.
        means: of each figure by its name; NaN without any.
        deviations: sample standard deviations of them; NaN for fewer than two models.
    """

    group: ModelGroup
    label: str
    names: tuple[str, ...]
    means: Mapping[str, float]
    deviations: Mapping[str, float]


def mean_scores(
    scores: Mapping[str, Sequence[LabelScores]], groups: Mapping[str, ModelGroup], figures: Sequence[Figure]
) -> list[MeanScore]:
    """Return the mean of each group and label; a group of one model has a mean, too.

    A figure that one model of a group does not have, since it is 0 / 0 there, is left out of the mean.

    Args:
        scores: of all labels, by the name of each model.
        groups: of each model by its name.
        figures: to average.
    """
    found = []
    for group in dict.fromkeys(groups.values()):
        names = tuple(name for name, its in groups.items() if its == group)
        for place, label in enumerate(scores[names[0]]):
            values = {figure.name: [figure.of(scores[name][place]) for name in names] for figure in figures}
            found.append(
                MeanScore(
                    group=group,
                    label=label.label,
                    names=names,
                    means={figure: mean(listed) for figure, listed in values.items()},
                    deviations={figure: _deviation(listed) for figure, listed in values.items()},
                )
            )
    return found


def _deviation(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return stdev(known) if len(known) > 1 else math.nan
