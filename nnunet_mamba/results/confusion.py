"""What nnU-Net counts of a case: pixels or voxels that are truly or falsely labelled, and the ratios of them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

COUNTS = ("tp", "fp", "fn", "tn")


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else math.nan


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Pixels (or voxels) of a label that are truly or falsely labelled; NaN where a ratio is 0 / 0."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN), the papers' DSC or F1; NaN if neither reference nor prediction has the label."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN): foreground only, which the skin papers print as mIoU."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def sensitivity(self) -> float:
        """TP / (TP + FN)."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """TN / (TN + FP)."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def precision(self) -> float:
        """TP / (TP + FP)."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def accuracy(self) -> float:
        """(TP + TN) / all."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(tp=self.tp + other.tp, fp=self.fp + other.fp, fn=self.fn + other.fn, tn=self.tn + other.tn)


@dataclass(frozen=True, kw_only=True)
class ScoredCase:
    """One case and its counts.

    Args:
        identifier: nnU-Net's name of the case.
        confusions: for each label or region, by its name in dataset.json.
    """

    identifier: str
    confusions: Mapping[str, Confusion]

    @property
    def dice(self) -> float:
        """Mean Dice over the labels that reference or prediction has; NaN if there is none."""
        return mean(confusion.dice for confusion in self.confusions.values())


def mean(values: Iterable[float]) -> float:
    """Return the mean of the numbers that are not NaN; NaN if there is none."""
    numbers = [value for value in values if not math.isnan(value)]
    return math.fsum(numbers) / len(numbers) if numbers else math.nan
