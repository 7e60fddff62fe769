"""How far the boundaries of two masks lie apart: HD95, ASSD and NSD, in one of two conventions."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nnunet_mamba.evaluation.distances.boundary_elements import Boundary, Mask, find_boundary
from nnunet_mamba.evaluation.distances.conventions import MM, NO_DISTANCES, DistanceMeasure, MaskDistances

_PERCENT = 95
# The same distance at another place differs in its last bits.
_ROUNDING = 1e-9


def mask_distances(
    one: Mask,
    other: Mask,
    measure: DistanceMeasure,
    *,
    spacing: Sequence[float] | None = None,
    image_shape: Sequence[int] | None = None,
) -> MaskDistances:
    """Measure how far the boundaries of two masks lie apart; the order of the two does not matter.

    Args:
        one: (y, x) or (z, y, x).
        other: of the same shape.
        measure: convention and tolerance.
        spacing: mm along each axis, > 0; None measures in pixels.
        image_shape: of the image that the masks are cut out of; None takes their own.

    Raises:
        ValueError: shapes or the number of spacings differ, or a spacing is not positive.
    """
    unit = measure.unit(spacing)
    spacing = _checked_spacing(one, other, spacing if unit == MM else None)
    is_there = one.any(), other.any()
    if not any(is_there):
        return NO_DISTANCES
    tolerance = measure.tolerance_in(unit)
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
