"""Outlines of masks as closed lines, for whatever draws them."""

import numpy as np
import numpy.typing as npt
from contourpy import contour_generator

Line = npt.NDArray[np.float64]


def outlines(mask: npt.NDArray[np.bool_]) -> list[Line]:
    """Return the outlines of a mask, those of holes included.

    They run half-way between the centres of a pixel inside and its neighbour outside.

    Args:
        mask: (y, x).

    Returns:
        Closed lines, each (n, 2): x and y of its corners, in pixels from the upper left corner of the first pixel. The
        first corner is not repeated.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return []
    top, left = rows[0], columns[0]
    # A rim of zeros closes outlines at the edge of the picture.
    inside = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1).astype(np.float64)
    corner = np.array([left, top]) - 0.5
    return [_corners(np.asarray(line)[:-1]) + corner for line in contour_generator(z=inside).lines(0.5)]


def _corners(line: Line) -> Line:
    """Return a closed line without the points at which it goes straight on."""
    before, after = line - np.roll(line, 1, axis=0), np.roll(line, -1, axis=0) - line
    corners: Line = line[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    return corners
