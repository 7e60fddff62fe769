"""The figures of a model in both protocols, with what stands behind ±: folds, or seeds where there are several."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nnunet_mamba.comparison.scored_model import ScoredModel
from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
from nnunet_mamba.evaluation.protocols import LabelScores, score_labels
from nnunet_mamba.report.contents.reported_model import ReportedModel
from nnunet_mamba.report.tables.table import Number
from nnunet_mamba.results.confusion import ScoredCase, mean

Figure = Callable[[LabelScores], float]

PER_CASE: Mapping[str, Figure] = {
    "dice": lambda scores: scores.mean_case_dice,
    "iou": lambda scores: scores.mean_case_iou,
    "hd95": lambda scores: math.nan if scores.distances is None else scores.distances.hd95,
    "nsd": lambda scores: math.nan if scores.distances is None else scores.distances.nsd,
}
POOLED: Mapping[str, Figure] = {
    "pooled_dsc": lambda scores: scores.pooled.dice,
    "pooled_iou": lambda scores: scores.pooled.iou,
    "pooled_sensitivity": lambda scores: scores.pooled.sensitivity,
    "pooled_specificity": lambda scores: scores.pooled.specificity,
    "pooled_accuracy": lambda scores: scores.pooled.accuracy,
}
FIGURES: Mapping[str, Figure] = {**PER_CASE, **POOLED}


@dataclass(frozen=True, kw_only=True)
class ModelFigures:
    """All figures of a model.

    Args:
        of_labels: by label or region, then by the names of ``FIGURES``.
        of_mean: means over labels or regions.
    """

    of_labels: Mapping[str, Mapping[str, Number]]
    of_mean: Mapping[str, Number]


def model_figures(model: ReportedModel) -> ModelFigures:
    """Score a model in both protocols.

    A figure is that of all cases, and its ± the sample standard deviation over the folds, each scored alone. With
    several seeds it is the mean over them, and its ± their standard deviation.
    """
    if len(model.repeats) > 1:
        parts = [_by_label(each.cases, each.distances) for each in model.repeats]
        whole = None
    else:
        only = model.repeats[0]
        parts = [_by_label(cases, only.distances) for cases in _folds(only)]
        whole = _by_label(only.cases, only.distances)
    labels = list(parts[0])
    return ModelFigures(
        of_labels={
            label: {
                name: _number([figure(part[label]) for part in parts], None if whole is None else figure(whole[label]))
                for name, figure in FIGURES.items()
            }
            for label in labels
        },
        of_mean={
            name: _number([_mean(part, figure) for part in parts], None if whole is None else _mean(whole, figure))
            for name, figure in FIGURES.items()
        },
    )


def spread_text(models: Sequence[ReportedModel]) -> str:
    """Return what ± is over, in a sentence; nothing if there is none."""
    told = []
    if several := [model.name for model in models if len(model.repeats) > 1]:
        names = "" if len(several) == len(models) else f" of {', '.join(several)}"
        told.append(f"mean and standard deviation over seeds{names}")
    if any(len(model.repeats) == 1 and len(_folds(model.repeats[0])) > 1 for model in models):
        rest = " of the others" if told else ""
        told.append(
            f"figures of all cases with the standard deviation over folds, each scored alone,{rest}".rstrip(",")
        )
    return f"{'; '.join(told)[:1].upper()}{'; '.join(told)[1:]}." if told else ""


def _folds(model: ScoredModel) -> list[list[ScoredCase]]:
    folds: dict[str, list[ScoredCase]] = {}
    for case in model.cases:
        folds.setdefault(model.folds.get(case.identifier, ""), []).append(case)
    return list(folds.values())


def _by_label(cases: Sequence[ScoredCase], distances: MeasuredDistances | None) -> dict[str, LabelScores]:
    if distances is not None:
        names = {case.identifier for case in cases}
        of_cases = {name: found for name, found in distances.by_case.items() if name in names}
        distances = MeasuredDistances(by_case=of_cases, measure=distances.measure, unit=distances.unit)
    return {scores.label: scores for scores in score_labels(cases, distances)}


def _mean(scores: Mapping[str, LabelScores], figure: Figure) -> float:
    return mean(figure(each) for each in scores.values())


def _number(parts: Sequence[float], whole: float | None) -> Number:
    known = [value for value in parts if not math.isnan(value)]
    spread = statistics.stdev(known) if len(known) > 1 else math.nan
    return Number(value=mean(parts) if whole is None else whole, spread=spread)
