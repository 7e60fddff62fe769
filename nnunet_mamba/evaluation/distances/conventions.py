"""The two conventions of HD95, ASSD and NSD, and what they are called; ``mask_distances.py`` measures in them.

``surface`` is that of DeepMind's ``surface-distance`` and of Metrics Reloaded (Maier-Hein et al. 2024,
doi:10.1038/s41592-023-02151-z), in mm. Boundaries consist of elements that count as large as they are.

- HD95: the distance that 95 % of a boundary does not exceed, the larger of the two directions.
- ASSD: the mean distance over both boundaries together.
- NSD: the part of both boundaries together that lies within a tolerance of the other one.

``medpy`` is that of the papers on Synapse, which call ``medpy.metric.binary.hd95`` without spacing. Boundaries consist
of the outermost positions inside a mask, and distances are counted in positions.

- HD95: the 95th percentile of the distances in both directions together.
- ASSD: the mean of the distances in both directions together, as medpy 0.5.2 has it.
- NSD: medpy has none.

If both masks are empty there is no score. If one is, HD95 and ASSD are the diagonal of the image, which no distance
exceeds, and NSD is 0: a mask that misses everything never scores better than one that misses less.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

SURFACE, MEDPY = "surface", "medpy"
CONVENTIONS = (SURFACE, MEDPY)
MM, PIXEL = "mm", "pixel"
_TOLERANCES = {MM: 1.0, PIXEL: 2.0}


@dataclass(frozen=True, kw_only=True)
class MaskDistances:
    """Distances between the boundaries of two masks; NaN where there is no score.

    Args:
        hd95: in the unit of the measure.
        assd: in the unit of the measure.
        nsd: 0 to 1.
    """

    hd95: float
    assd: float
    nsd: float


NO_DISTANCES = MaskDistances(hd95=math.nan, assd=math.nan, nsd=math.nan)


@dataclass(frozen=True, kw_only=True)
class DistanceMeasure:
    """How distances are measured.

    Args:
        convention: of ``CONVENTIONS``.
        tolerance: of NSD, in mm, or in pixels where there is no spacing; None takes 1 mm, or 2 pixels.

    Raises:
        ValueError: there is no such convention, or the tolerance is no number ≥ 0, or there is one without NSD.
    """

    convention: str = SURFACE
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.convention not in CONVENTIONS:
            raise ValueError(f"convention is {self.convention!r}, expected one of {', '.join(CONVENTIONS)}")
        if self.tolerance is not None and not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"tolerance is {self.tolerance}, expected a length of 0 or more")
        if self.tolerance is not None and self.convention == MEDPY:
            raise ValueError(f"`tolerance` is of NSD, which the convention {MEDPY} has not; leave it out")

    def unit(self, spacing: Sequence[float] | None) -> str:
        """Return the unit of distances, ``MM`` or ``PIXEL``; a voxel is a pixel here.

        Args:
            spacing: mm along each axis, None where it is not known.
        """
        return PIXEL if spacing is None or self.convention == MEDPY else MM

    def tolerance_in(self, unit: str) -> float | None:
        """Return the tolerance of NSD in a unit, None in a convention without NSD."""
        if self.convention == MEDPY:
            return None
        return _TOLERANCES[unit] if self.tolerance is None else self.tolerance
