"""How long the boundary of a mask is in two dimensions, and how large its surface in three.

A mask's boundary consists of faces: edges of pixels, or sides of voxels. Their plain sum does not become right with
smaller pixels: it is 4/pi of a disc's perimeter, and 3/2 of a ball's surface. So each face counts as large as it looks
along the boundary's normal n there:

    size = sum over faces of (size of the face) * |n . axis of the face|

Where the error of n vanishes with the size of the pixels, so does that of the sum (Coeurjolly, Flin, Teytaud and Tougne
2003, "Multigrid convergence and surface area estimation", doi:10.1007/3-540-36586-9_7). Here n is the gradient of the
mask after three running means, which leave the normal of a straight boundary as it is, whatever the spacing.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

_N_MEANS = 3
# The sums of three means over 17 voxels along two axes and 3 along the third fit into 32 bits.
_LARGEST_RATIO = 8
# Positions that are worked on at once: memory does not grow with the image.
_SLAB = 2**21
# How many positions the gradient at a face reads beyond the face's first one.
_RIM = 2


def boundary_size(mask: Mask, spacing: Sequence[float]) -> float:
    """Return the perimeter of a mask, or its surface area.

    Compared with the closed forms of shapes at random places, where s is the coarsest spacing:

    - discs and balls are right to 3 % from a radius of 5 s, and to 1 % from one of 10 s;
    - straight boundaries are right along the axes; over all angles they are 0.4 % too long on average, and 2 % at most;
    - a right-angled corner costs 0.2 s to 0.8 s: rectangles of 20 s by 10 s are up to 6 % too short, those of 100 s by
      60 s are right to 1.6 %. Each length s of a box's edges costs as much;
    - one pixel has four edges, and a row of pixels has two sides.

    Args:
        mask: (y, x) or (z, y, x). Boundaries of holes count, and the edge of the image closes what touches it.
        spacing: mm along each axis, > 0.

    Returns:
        mm, or mm² for a volume; 0.0 without any foreground.
    """
    reaches = [_N_MEANS * (_width_of_mean(step, spacing) // 2) for step in spacing]
    extended = np.pad(mask, [(reach + _RIM, reach + _RIM) for reach in reaches])
    return sum(_size_in_slab(slab, spacing) for slab in _slabs(extended, reaches[0]))


def _width_of_mean(step: float, spacing: Sequence[float]) -> int:
    """Return the positions of a running mean along one axis: three on the coarsest, as many mm on the others."""
    return 2 * round(min(max(spacing) / step, _LARGEST_RATIO)) + 1


def _slabs(extended: Mask, reach: int) -> Iterator[Mask]:
    """Yield overlapping parts along the first axis; each face of the boundary begins in the core of one of them."""
    # The first face lies between the row in front of the mask and its first one.
    end = len(extended) - 2 * reach - _RIM
    n_rows = max(_SLAB // extended[0].size, 1)
    for start in range(1, end, n_rows):
        yield extended[start - 1 : min(start + n_rows, end) + _RIM + 2 * reach]


def _size_in_slab(slab: Mask, spacing: Sequence[float]) -> float:
    widths = [_width_of_mean(step, spacing) for step in spacing]
    smoothed = slab.astype(np.min_scalar_type(math.prod(width**_N_MEANS for width in widths)))
    for axis, width in enumerate(widths):
        for _ in range(_N_MEANS):
            smoothed = _running_sums(smoothed, axis, width)
    reaches = [_N_MEANS * (width // 2) for width in widths]
    core = slab[tuple(slice(reach, size - reach) for reach, size in zip(reaches, slab.shape, strict=True))]
    # From here on a position is one number. Rows begin and end in zeros, so no face lies between two of them.
    inside, heights = core.ravel(), smoothed.ravel()
    steps = [math.prod(core.shape[axis + 1 :]) for axis in range(core.ndim)]
    first, last = steps[0], core.size - _RIM * steps[0]
    size = 0.0
    for axis, step in enumerate(steps):
        faces = first + np.flatnonzero(inside[first:last] != inside[first + step : last + step])
        slopes = [_slope(heights, faces, step, along) / length for along, length in zip(steps, spacing, strict=True)]
        steepness = np.sqrt(sum(slope**2 for slope in slopes))
        # Where the gradient vanishes, as in a pattern of stripes, nothing tells the normal from the face's axis.
        cosines = np.divide(np.abs(slopes[axis]), steepness, out=np.ones(len(faces)), where=steepness > 0)
        size += math.prod(spacing) / spacing[axis] * float(cosines.sum())
    return size


def _running_sums(values: npt.NDArray[Any], axis: int, width: int) -> npt.NDArray[Any]:
    """Return the sums of ``width`` neighbours along an axis, in the same type, which holds them."""
    if width == 1:
        return values
    half = width // 2
    halves = _running_sums(values, axis, half)
    n = values.shape[axis] - width + 1
    sums: npt.NDArray[Any] = _from(halves, axis, 0, n) + _from(halves, axis, half, n)
    if width % 2:
        sums += _from(values, axis, 2 * half, n)
    return sums


def _from(values: npt.NDArray[Any], axis: int, start: int, n: int) -> npt.NDArray[Any]:
    part: npt.NDArray[Any] = values[(slice(None),) * axis + (slice(start, start + n),)]
    return part


def _slope(heights: npt.NDArray[Any], faces: npt.NDArray[Any], step: int, along: int) -> npt.NDArray[np.float64]:
    """Return four times the slope along an axis, from the positions on both sides of each face."""
    ahead = heights[faces + along].astype(np.float64) + heights[faces + step + along]
    slope: npt.NDArray[np.float64] = ahead - heights[faces - along] - heights[faces + step - along]
    return slope
