"""How far the boundaries of two masks lie apart: HD95, ASSD and NSD, in one of two conventions.

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

import numpy as np
import numpy.typing as npt

from nnunet_mamba.evaluation.distances.boundary_elements import Boundary, Mask, find_boundary

SURFACE, MEDPY = "surface", "medpy"
CONVENTIONS = (SURFACE, MEDPY)
MM, PIXEL = "mm", "pixel"
_TOLERANCES = {MM: 1.0, PIXEL: 2.0}
_PERCENT = 95
# The same distance at another place differs in its last bits.
_ROUNDING = 1e-9


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
        ValueError: there is no such convention, or the tolerance is no number ≥ 0.
    """

    convention: str = SURFACE
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.convention not in CONVENTIONS:
            raise ValueError(f"convention is {self.convention!r}, expected one of {', '.join(CONVENTIONS)}")
        if self.tolerance is not None and not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(f"tolerance is {self.tolerance}, expected a length of 0 or more")

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

    def distances(
        self,
        one: Mask,
        other: Mask,
        *,
        spacing: Sequence[float] | None = None,
        image_shape: Sequence[int] | None = None,
    ) -> MaskDistances:
        """Measure how far the boundaries of two masks lie apart; the order of the two does not matter.

        Args:
            one: (y, x) or (z, y, x).
            other: of the same shape.
            spacing: mm along each axis, > 0; None measures in pixels.
            image_shape: of the image that the masks are cut out of; None takes their own.

        Raises:
            ValueError: shapes or the number of spacings differ, or a spacing is not positive.
        """
        unit = self.unit(spacing)
        spacing = _checked_spacing(one, other, spacing if unit == MM else None)
        is_there = one.any(), other.any()
        if not any(is_there):
            return NO_DISTANCES
        tolerance = self.tolerance_in(unit)
        if not all(is_there):
            diagonal = math.hypot(*(n * step for n, step in zip(image_shape or one.shape, spacing, strict=True)))
            return MaskDistances(hd95=diagonal, assd=diagonal, nsd=math.nan if tolerance is None else 0.0)
        if tolerance is None:
            return _medpy_distances(one, other)
        return _surface_distances(find_boundary(one, spacing), find_boundary(other, spacing), tolerance)


def _checked_spacing(one: Mask, other: Mask, spacing: Sequence[float] | None) -> tuple[float, ...]:
    if one.shape != other.shape:
        raise ValueError(f"masks have the shapes {one.shape} and {other.shape}, expected the same")
    if one.ndim not in (2, 3):
        raise ValueError(f"masks have {one.ndim} dimensions, expected 2 or 3")
    steps = (1.0,) * one.ndim if spacing is None else tuple(map(float, spacing))
    if len(steps) != one.ndim or not all(math.isfinite(step) and step > 0 for step in steps):
        raise ValueError(f"spacing is {steps}, expected {one.ndim} lengths in mm, each more than 0")
    return steps


def _surface_distances(one: Boundary, other: Boundary, tolerance: float) -> MaskDistances:
    directions = [(_distances_to(other, one), one.sizes), (_distances_to(one, other), other.sizes)]
    distances, sizes = (np.concatenate(parts) for parts in zip(*directions, strict=True))
    is_near = distances <= tolerance * (1 + _ROUNDING)
    return MaskDistances(
        hd95=max(_percentile(*direction) for direction in directions),
        assd=float(np.average(distances, weights=sizes)),
        nsd=float(sizes[is_near].sum() / sizes.sum()),
    )


def _distances_to(target: Boundary, source: Boundary) -> npt.NDArray[np.float64]:
    """Return the distance from each element of ``source`` to the nearest one of ``target``."""
    distances = np.zeros(len(source.indices))
    # Good predictions share most of the boundary, where the distance is 0.
    is_apart = ~target.is_element.ravel()[source.indices]
    if is_apart.any():
        distances[is_apart] = _nearest(source.points[is_apart], target.points)
    return distances


def _nearest(points: npt.NDArray[np.float64], targets: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the distance from each point to the nearest target, both (n, d)."""
    from scipy.spatial import cKDTree

    # Balancing a tree of points on a grid costs more than it saves.
    distances: npt.NDArray[np.float64] = cKDTree(targets, balanced_tree=False, compact_nodes=False).query(points)[0]
    return distances


def _percentile(distances: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64]) -> float:
    """Return the smallest distance that 95 % of a boundary does not exceed."""
    order = np.argsort(distances, kind="stable")
    covered = np.cumsum(sizes[order])
    place = int(np.searchsorted(covered, _PERCENT / 100 * covered[-1] * (1 - _ROUNDING)))
    return float(distances[order][place])


def _medpy_distances(one: Mask, other: Mask) -> MaskDistances:
    from scipy.ndimage import binary_erosion

    borders = [np.argwhere(mask & ~binary_erosion(mask)).astype(np.float64) for mask in (one, other)]
    distances = np.concatenate([_nearest(borders[0], borders[1]), _nearest(borders[1], borders[0])])
    return MaskDistances(hd95=float(np.percentile(distances, _PERCENT)), assd=float(np.mean(distances)), nsd=math.nan)
