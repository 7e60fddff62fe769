"""The distances of all cases, and what has to stand beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnunet_mamba.evaluation.distances.conventions import MEDPY, DistanceMeasure, MaskDistances
from nnunet_mamba.results.confusion import mean

EMPTY_RULE = (
    "Empty masks: if reference and prediction are both empty, the case has no score and is left out of the means; if "
    "one of them is, Dice and NSD are 0, and HD95 and ASSD are the diagonal of the image."
)


@dataclass(frozen=True, kw_only=True)
class MeasuredDistances:
    """Distances of all cases and labels.

    Args:
        by_case: for each case's identifier and each label or region by its name.
        measure: convention and tolerance.
        unit: "mm" or "pixel", of all of them.
    """

    by_case: Mapping[str, Mapping[str, MaskDistances]]
    measure: DistanceMeasure
    unit: str

    @property
    def convention_text(self) -> str:
        """The convention and the tolerance, as the heading of a table."""
        if self.measure.convention == MEDPY:
            return "as medpy and the Synapse papers: border voxels, both directions pooled, in voxels"
        plural = "" if self.tolerance == 1 or self.unit == "mm" else "s"
        return (
            f"surface elements, HD95 the larger of the two directions; NSD with a tolerance of {self.tolerance:g} "
            f"{self.unit}{plural}"
        )

    @property
    def tolerance(self) -> float | None:
        """Of NSD, in ``unit``; None in a convention without NSD."""
        return self.measure.tolerance_in(self.unit)

    def of_label(self, label: str) -> list[MaskDistances]:
        """Return the distances of a label in all cases."""
        return [of_case[label] for of_case in self.by_case.values()]

    def as_dict(self) -> dict[str, object]:
        """Return what has to be known of the figures as plain values for JSON."""
        return {
            "convention": self.measure.convention,
            "unit": self.unit,
            "nsd_tolerance": self.tolerance,
            "empty_masks": EMPTY_RULE,
        }


@dataclass(frozen=True, kw_only=True)
class MeanDistances:
    """Means over the cases of one label; NaN without any score.

    Args:
        hd95: in ``unit``.
        assd: in ``unit``.
        nsd: 0 to 1; NaN in a convention without NSD.
        unit: "mm" or "pixel".
    """

    hd95: float
    assd: float
    nsd: float
    unit: str

    @classmethod
    def over(cls, distances: Sequence[MaskDistances], unit: str) -> "MeanDistances":
        """Return the means over cases; those without a score are left out."""
        return cls(
            hd95=mean(each.hd95 for each in distances),
            assd=mean(each.assd for each in distances),
            nsd=mean(each.nsd for each in distances),
            unit=unit,
        )
