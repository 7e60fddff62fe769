"""The longest diameter of a mask: the largest distance between two points of its outline (maximum Feret diameter).

The outline runs half-way between the centres of a position inside and its neighbour outside, as overlays draw it and as
scikit-image and pyradiomics measure it: a row of n pixels is n pixels long. Each part of a mask has its own diameter,
because a speck far from a lesion does not make the lesion longer.
"""

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt

from nnunet_mamba.measurements.connected_parts import Box, Mask, Parts, box_of, find_parts

Points = npt.NDArray[np.float64]

# Distances that are held at once.
_MOST_DISTANCES = 2**22


def longest_diameter(parts: Parts, spacing: Sequence[float], *, at_least: float = 0.0) -> float:
    """Return the longest diameter of a part of a mask.

    It may leave a part that is concave. It is exact for the outline; that of a disc, a ball or a turned rectangle is
    right to one coarsest spacing.

    Args:
        parts: of a mask.
        spacing: mm along each axis, > 0.
        at_least: where no part is longer, this number is returned, soon.

    Returns:
        mm.
    """
    longest = at_least
    limits = np.array([_largest_possible(box, spacing) for box in parts.boxes])
    for index in np.argsort(-limits, kind="stable"):
        if limits[index] <= longest:
            break
        longest = max(longest, _diameter(parts.mask(index), spacing))
    return longest


def longest_axial_diameter(mask: Mask, spacing: Sequence[float]) -> tuple[float, int]:
    """Return the longest diameter within one slice, and the slice it lies in.

    This is what radiologists measure and sum up: RECIST 1.1 takes the longest diameter of a lesion in the plane of
    the slices, usually axial, in the slice where it is longest (Eisenhauer et al. 2009,
    doi:10.1016/j.ejca.2008.10.026). It is not that of the slice with the largest area, nor the diameter in 3D.

    Args:
        mask: (z, y, x), with foreground.
        spacing: mm along y and x, > 0.

    Returns:
        mm, and an index along z.
    """
    boxes = {index: box for index, plane in enumerate(mask) if (box := box_of(plane)) is not None}
    limits = {index: _largest_possible(box, spacing) for index, box in boxes.items()}
    longest, place = 0.0, next(iter(limits))
    for index in sorted(limits, key=lambda index: -limits[index]):
        if limits[index] <= longest:
            break
        diameter = longest_diameter(find_parts(mask[index][boxes[index]]), spacing, at_least=longest)
        if diameter > longest:
            longest, place = diameter, index
    return longest, place


def _largest_possible(box: Box, spacing: Sequence[float]) -> float:
    """Return the largest distance that two points of an outline in a box can have."""
    lengths = np.array([side.stop - side.start - 1 for side in box], float)
    halves = np.eye(len(box)) / 2
    return max(
        float(np.linalg.norm((lengths + one + other) * spacing))
        for one, other in combinations_with_replacement(halves, 2)
    )


def _diameter(mask: Mask, spacing: Sequence[float]) -> float:
    """Return the longest diameter of one part."""
    corners = _corners(mask)
    halves = np.concatenate([np.eye(mask.ndim), -np.eye(mask.ndim)]) / 2
    # The outline touches its convex hull half a position beside the corners of the centres' hull, along some axis.
    outline = (corners[:, None] + halves).reshape(-1, mask.ndim) * spacing
    return _largest_distance(_hull(outline))


def _corners(mask: Mask) -> Points:
    """Return positions of which the convex hull is that of all positions of the foreground: few of them."""
    if mask.ndim == 2:
        return _hull_of_plane(_ends_of_rows(mask))
    planes = ((index, plane) for index, plane in enumerate(mask) if plane.any())
    return np.concatenate([np.insert(_hull_of_plane(_ends_of_rows(plane)), 0, z, axis=1) for z, plane in planes])


def _ends_of_rows(mask: Mask) -> Points:
    """Return the first and the last position of each row of a mask, (n, 2), sorted."""
    rows = np.flatnonzero(mask.any(axis=1))
    starts = mask[rows].argmax(axis=1)
    ends = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    return np.stack([np.repeat(rows, 2), np.stack([starts, ends], axis=1).ravel()], axis=1).astype(np.float64)


def _hull(points: Points) -> Points:
    if points.shape[1] == 2:
        return _hull_of_plane(points[np.lexsort(points.T[::-1])])
    from scipy.spatial import ConvexHull

    hull: Points = points[ConvexHull(points).vertices]
    return hull


def _hull_of_plane(points: Points) -> Points:
    """Return the corners of the convex hull of sorted points in a plane (Andrew's monotone chain)."""
    chains: list[list[tuple[float, float]]] = [[], []]
    for chain, ordered in zip(chains, (points, points[::-1]), strict=True):
        for y, x in ordered.tolist():
            while len(chain) > 1:
                (y0, x0), (y1, x1) = chain[-2:]
                # Only a turn to the left keeps the point between.
                if (y1 - y0) * (x - x0) > (x1 - x0) * (y - y0):
                    break
                chain.pop()
            chain.append((y, x))
    return np.array(chains[0] + chains[1])


def _largest_distance(points: Points) -> float:
    """Return the largest distance between two of several points.

    A pair cannot be further apart than the sum of its distances from any centre, so pairs far from the centre come
    first, and the others need not be looked at.
    """
    radii = np.linalg.norm(points - (points.min(axis=0) + points.max(axis=0)) / 2, axis=1)
    order = np.argsort(-radii)
    points, radii = points[order], radii[order]
    largest, start = 0.0, 0
    while start < len(points) and 2 * radii[start] > largest:
        # Radii fall, so the partners that can still matter are the first ones.
        n_partners = int(np.searchsorted(-radii, radii[start] - largest, side="left"))
        partners = points[start:n_partners]
        stop = start + max(1, _MOST_DISTANCES // max(len(partners), 1))
        distances = np.linalg.norm(points[start:stop, None] - partners[None], axis=-1)
        largest = max(largest, float(distances.max(initial=0.0)))
        start = stop
    return largest
