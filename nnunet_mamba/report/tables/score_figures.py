"""The figures of a model in every protocol, with what stands behind ±: folds, or seeds where there are several."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from nnunet_mamba.comparison.scored_model import ScoredModel
from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
from nnunet_mamba.evaluation.paper_protocols import BATCHES, ISIC, PER_CASE, POOLED, SYNAPSE, protocol_scores
from nnunet_mamba.evaluation.protocols import LabelScores, score_labels
from nnunet_mamba.report.contents.reported_model import ReportedModel
from nnunet_mamba.report.tables.table import Number
from nnunet_mamba.results.confusion import ScoredCase, mean

Figure = Callable[[LabelScores], float]
# By label or region, then by the name of the figure.
Values = Mapping[str, Mapping[str, float]]

_FIGURES: Mapping[str, Figure] = {
    "dice": lambda scores: scores.mean_case_dice,
    "iou": lambda scores: scores.mean_case_iou,
    "hd95": lambda scores: math.nan if scores.distances is None else scores.distances.hd95,
    "nsd": lambda scores: math.nan if scores.distances is None else scores.distances.nsd,
    "pooled_dsc": lambda scores: scores.pooled.dice,
    "pooled_iou": lambda scores: scores.pooled.iou,
    "pooled_sensitivity": lambda scores: scores.pooled.sensitivity,
    "pooled_specificity": lambda scores: scores.pooled.specificity,
    "pooled_accuracy": lambda scores: scores.pooled.accuracy,
}
# The figure that stands beside what a paper prints: by its protocol and the metric's name in ``published_results``.
OF_PROTOCOLS: Mapping[str, Mapping[str, str]] = {
    PER_CASE: {"dice": "dice", "iou": "iou", "hd95": "hd95"},
    POOLED: {
        "dice": "pooled_dsc",
        **{name: f"pooled_{name}" for name in ("iou", "sensitivity", "specificity", "accuracy")},
    },
    BATCHES: {"dice": "batch_pooled_dice", "iou": "batch_pooled_iou"},
    SYNAPSE: {"dice": "synapse_dice", "hd95": "synapse_hd95"},
    ISIC: {"iou": "isic_2018_iou"},
}
_OF_PAPERS = (BATCHES, SYNAPSE, ISIC)


@dataclass(frozen=True, kw_only=True)
class ModelFigures:
    """All figures of a model.

    Args:
        model: that they are of.
        parts: the figures that ± is over: of each fold, or of each seed where there are several.
        whole: the figures of all cases; None where the mean over the parts is shown.
    """

    model: ReportedModel
    parts: Sequence[Values]
    whole: Values | None

    @property
    def labels(self) -> list[str]:
        """The labels or regions."""
        return list(self.parts[0])

    def of_label(self, label: str, name: str) -> Number:
        """Return a figure of a label or region.

        Args:
            label: of ``labels``.
            name: of the figure.
        """
        return self._number(lambda values: values[label][name])

    def mean(self, name: str, labels: Sequence[str] | None = None) -> Number:
        """Return the mean of a figure over labels or regions, each of which counts alike; what has none is left out.

        Args:
            name: of the figure.
            labels: some of ``labels``; None takes all.
        """
        chosen = self.labels if labels is None else labels
        return self._number(lambda values: mean(values[label][name] for label in chosen))

    def _number(self, figure: Callable[[Values], float]) -> Number:
        found = [figure(part) for part in self.parts]
        known = [value for value in found if not math.isnan(value)]
        spread = statistics.stdev(known) if len(known) > 1 else math.nan
        return Number(value=mean(found) if self.whole is None else figure(self.whole), spread=spread)


def model_figures(model: ReportedModel) -> ModelFigures:
    """Score a model in every protocol.

    A figure is that of all cases, and its ± the sample standard deviation over the folds, each scored alone. With
    several seeds it is the mean over them, and its ± their standard deviation.
    """
    of_papers: Sequence[MeasuredDistances | None] = model.paper_distances or [None] * len(model.repeats)
    if len(model.repeats) > 1:
        repeats = zip(model.repeats, of_papers, strict=True)
        parts = [_values(each.cases, each.distances, measured) for each, measured in repeats]
        return ModelFigures(model=model, parts=parts, whole=None)
    only, measured = model.repeats[0], of_papers[0]
    return ModelFigures(
        model=model,
        parts=[_values(cases, only.distances, measured) for cases in _folds(only)],
        whole=_values(only.cases, only.distances, measured),
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


def _values(
    cases: Sequence[ScoredCase], distances: MeasuredDistances | None, of_papers: MeasuredDistances | None
) -> Values:
    """Return all figures of one set of cases.

    Args:
        cases: with the same labels.
        distances: of these cases and of others.
        of_papers: the same by medpy.
    """
    scored = score_labels(cases, _of_cases(distances, cases))
    found = {each.label: {name: figure(each) for name, figure in _FIGURES.items()} for each in scored}
    for score in protocol_scores(cases, distances=_of_cases(of_papers, cases)):
        if score.protocol in _OF_PAPERS and score.label in found:
            found[score.label] |= {
                name: getattr(score, metric) for metric, name in OF_PROTOCOLS[score.protocol].items()
            }
    return found


def _of_cases(distances: MeasuredDistances | None, cases: Sequence[ScoredCase]) -> MeasuredDistances | None:
    if distances is None:
        return None
    # Means over cases go through all that were measured.
    return replace(distances, by_case={case.identifier: distances.by_case[case.identifier] for case in cases})
