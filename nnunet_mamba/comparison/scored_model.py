"""A model and the scores of its cases: what is compared, wherever it was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from nnunet_mamba.comparison.metrics import Metric
from nnunet_mamba.data.formats.dataset_json import LabelOrRegion
from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
from nnunet_mamba.results.confusion import Confusion, ScoredCase


@dataclass(frozen=True, kw_only=True)
class ScoredModel:
    """A model and the scores of its cases.

    Args:
        name: unique among those that are compared.
        place: the folder of its predictions or folds.
        cases: of all folds together.
        distances: of the same cases, None if they were not measured.
        labels: values of the labels and regions that it was trained with, by name; None where that is not known.
        folds: the fold that validated each case; empty where nothing was cross-validated.
    """

    name: str
    place: Path
    cases: Sequence[ScoredCase]
    distances: MeasuredDistances | None = None
    labels: Mapping[str, LabelOrRegion] | None = None
    folds: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def confusions(self) -> Mapping[str, Mapping[str, Confusion]]:
        """The counts of each label or region, by case."""
        return {case.identifier: case.confusions for case in self.cases}

    @property
    def label_names(self) -> list[str]:
        """The labels or regions that are scored; none without any case."""
        return list(self.cases[0].confusions) if self.cases else []

    def score(self, identifier: str, label: str, metric: Metric) -> float:
        """Return the score of a label in a case; NaN if neither reference nor prediction has it."""
        # Sensitivity and precision are 0 / 0 where one of the masks is empty: nothing of it is found, or true.
        counts = self.confusions[identifier][label]
        if metric.is_distance:
            assert self.distances is not None, "distances were not measured"
            return float(getattr(self.distances.by_case[identifier][label], metric.name))
        if counts.tp + counts.fp + counts.fn and not counts.tp:
            return 0.0
        return float(getattr(counts, metric.name))
