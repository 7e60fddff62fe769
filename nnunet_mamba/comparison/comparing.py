"""Compare models pair by pair and label by label, and correct all p-values that are shown together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations

from nnunet_mamba.comparison.case_groups import CaseGroups
from nnunet_mamba.comparison.comparability import refuse_incomparable
from nnunet_mamba.comparison.metrics import METRICS, Metric
from nnunet_mamba.comparison.scored_model import ScoredModel
from nnunet_mamba.comparison.statistics.holm import holm
from nnunet_mamba.comparison.statistics.paired_difference import PairedDifference, Resampling, paired_difference
from nnunet_mamba.evaluation.paper_protocols import MEAN_OF_LABELS
from nnunet_mamba.results.confusion import mean

POINTS = "points"


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions:
    """What is compared, and how.

    Args:
        metric: of ``METRICS``.
        labels: names of labels or regions; None takes all of them, and the mean over several.
        against: name of the model that all others are compared with; None takes all pairs.
        resampling: of the intervals.
        tie: up to which difference two scores count as equal, in the unit of the metric; 0 counts equal ones alone.
    """

    metric: Metric = METRICS["dice"]
    labels: Sequence[str] | None = None
    against: str | None = None
    resampling: Resampling = field(default_factory=Resampling)
    tie: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ComparedLabel:
    """Two models on one label.

    Args:
        first: name of a model.
        second: name of the other.
        label: its name, or ``MEAN_OF_LABELS``.
        metric: by which they are compared.
        values: first less second.
        confidence: of the interval; a p-value below the rest of it counts.
        p_holm: the p-value, corrected for all that are shown.
        n_empty_first: cases without a score in the first model: it rightly finds nothing where there is nothing.
        n_empty_second: the same in the second. A case that either has without a score is in no pair.
    """

    first: str
    second: str
    label: str
    metric: Metric
    values: PairedDifference
    confidence: float
    p_holm: float = math.nan
    n_empty_first: int = 0
    n_empty_second: int = 0

    @property
    def is_shown(self) -> bool:
        """Whether interval and corrected p-value both show a difference, and the same one."""
        values = self.values
        is_outside = values.low > 0 or values.high < 0
        return is_outside and self.p_holm <= 1 - self.confidence and values.rank_biserial * values.difference > 0

    @property
    def is_first_ahead(self) -> bool:
        """Whether the first model has the better mean, be it by chance."""
        return (self.values.difference > 0) == self.metric.higher_is_better

    @property
    def better(self) -> str | None:
        """The name of the model that is shown to be better; None if neither is."""
        if not self.is_shown:
            return None
        return self.first if self.is_first_ahead else self.second

    @property
    def outcomes(self) -> tuple[int, int, int]:
        """In how many cases the first model is better, equal, and worse."""
        higher, equal, lower = self.values.n_higher, self.values.n_equal, self.values.n_lower
        return (higher, equal, lower) if self.metric.higher_is_better else (lower, equal, higher)

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON, None for what cannot be said."""
        values = self.values.as_dict()
        for name in ("n_higher", "n_equal", "n_lower"):
            del values[name]
        wins, ties, losses = self.outcomes
        return {
            "first": self.first,
            "second": self.second,
            "label": self.label,
            **values,
            "p_holm": None if math.isnan(self.p_holm) else self.p_holm,
            "wins": wins,
            "ties": ties,
            "losses": losses,
            "n_empty_first": self.n_empty_first,
            "n_empty_second": self.n_empty_second,
            "better": self.better,
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All pairs of models on all labels.

    Args:
        models: in the order in which they were named.
        groups: of their cases.
        options: of the comparison.
        labels: that are compared.
        rows: by pair, then by label; the mean over labels comes last.
        unit: of differences in sentences: "points", hundredths, or that of distances.
    """

    models: Sequence[ScoredModel]
    groups: CaseGroups
    options: ComparisonOptions
    labels: Sequence[str]
    rows: Sequence[ComparedLabel]
    unit: str

    @property
    def main_rows(self) -> list[ComparedLabel]:
        """One for each pair of models: the mean over labels, or the only label."""
        return list({(row.first, row.second): row for row in self.rows}.values())

    @property
    def n_tests(self) -> int:
        """How many p-values were corrected together; a label that no case has is no test."""
        return sum(not math.isnan(row.values.p_value) for row in self.rows)


def compare_models(models: Sequence[ScoredModel], groups: CaseGroups, options: ComparisonOptions) -> Comparison:
    """Compare models by the scores of the same cases.

    Args:
        models: at least two, scored on the same cases.
        groups: of these cases.
        options: what is compared, and how.

    Raises:
        ValueError: the models cannot be compared, or there is no such label or model.
    """
    refuse_incomparable(models)
    labels = _labels(models[0], options.labels)
    identifiers = [case.identifier for case in models[0].cases]
    group_of_case = groups.of(identifiers)
    rows = []
    for one, other in _pairs(models, options.against):
        row = partial(_row, one.name, other.name, groups=group_of_case, options=options)
        first, second = (
            [[model.score(name, label, options.metric) for label in labels] for name in identifiers]
            for model in (one, other)
        )
        for place, label in enumerate(labels):
            rows.append(row(label, scores=([case[place] for case in first], [case[place] for case in second])))
        if len(labels) > 1:
            rows.append(row(MEAN_OF_LABELS, scores=_means_over_labels(first, second)))
    corrected = holm([row.values.p_value for row in rows])
    distances = models[0].distances
    is_length = not options.metric.is_ratio and distances is not None
    return Comparison(
        models=models,
        groups=groups,
        options=options,
        labels=labels,
        rows=[replace(row, p_holm=p) for row, p in zip(rows, corrected, strict=True)],
        unit=distances.unit if is_length and distances is not None else POINTS,
    )


def _labels(model: ScoredModel, wanted: Sequence[str] | None) -> list[str]:
    known = model.label_names
    if unknown := [label for label in wanted or () if label not in known]:
        raise ValueError(f"`label={unknown[0]!r}`: the models have {', '.join(known)}; name one of these")
    return list(known if wanted is None else wanted)


def _pairs(models: Sequence[ScoredModel], against: str | None) -> list[tuple[ScoredModel, ScoredModel]]:
    if against is None:
        return list(combinations(models, 2))
    found = [model for model in models if model.name == against]
    if len(found) != 1:
        raise ValueError(
            f"`against={against!r}`: the models are {', '.join(model.name for model in models)}; name one of these"
        )
    return [(model, found[0]) for model in models if model is not found[0]]


def _row(
    first: str,
    second: str,
    label: str,
    *,
    scores: tuple[Sequence[float], Sequence[float]],
    groups: Sequence[str],
    options: ComparisonOptions,
) -> ComparedLabel:
    n_empty = [sum(map(math.isnan, of_model)) for of_model in scores]
    return ComparedLabel(
        first=first,
        second=second,
        label=label,
        metric=options.metric,
        values=paired_difference(*scores, groups, resampling=options.resampling, tolerance=options.tie),
        confidence=options.resampling.confidence,
        n_empty_first=n_empty[0],
        n_empty_second=n_empty[1],
    )


def _means_over_labels(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]
) -> tuple[list[float], list[float]]:
    """Return each case's mean over the labels that have a score in both models."""
    means: tuple[list[float], list[float]] = ([], [])
    for pair in zip(first, second, strict=True):
        is_scored = [not math.isnan(one) and not math.isnan(other) for one, other in zip(*pair, strict=True)]
        for found, scores in zip(means, pair, strict=True):
            found.append(mean(score for score, counts in zip(scores, is_scored, strict=True) if counts))
    return means
