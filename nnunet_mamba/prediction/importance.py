"""Where the windows of a sliding window lie, how they are mirrored, and how much each pixel counts, as in nnU-Net."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

# nnU-Net's own: neighbours overlap by half, and a window's centre counts most.
_STEP_SHARE = 0.5
_SIGMA_SHARE = 1 / 8
_HIGHEST = 10
# Of scipy's gaussian filter, with which nnU-Net draws the bell.
_SIGMAS_TO_EITHER_SIDE = 4.0


def window_starts(size: int, window: int) -> list[int]:
    """Return where the windows begin along one axis.

    Args:
        size: pixels, ``window`` at least.
        window: pixels.
    """
    n_steps = math.ceil((size - window) / (window * _STEP_SHARE)) + 1
    step = (size - window) / (n_steps - 1) if n_steps > 1 else 0.0
    return [int(np.round(step * index)) for index in range(n_steps)]


def importance(window: Sequence[int]) -> npt.NDArray[np.float16]:
    """Return how much each pixel of a window counts: a Gaussian bell, 10 at its centre, above 0 everywhere.

    Args:
        window: pixels per axis.
    """
    bell = np.ones(())
    for size in window:
        bell = np.multiply.outer(bell, _bell(size))
    bell /= np.max(bell) / _HIGHEST
    # Rounded twice, as torch does it.
    found = bell.astype(np.float32).astype(np.float16)
    # Half precision rounds the tails to zero, and what no window counts would be divided by zero.
    is_zero = found == 0
    if is_zero.any():
        found[is_zero] = found[~is_zero].min()
    return found


def _bell(size: int) -> npt.NDArray[np.float64]:
    """Return a Gaussian of one axis around its middle, as scipy's filter makes it of a single one."""
    sigma = size * _SIGMA_SHARE
    radius = int(_SIGMAS_TO_EITHER_SIDE * sigma + 0.5)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    weights /= weights.sum()
    places = np.arange(size) - size // 2 + radius
    is_near = (places >= 0) & (places < len(weights))
    bell = np.zeros(size)
    bell[is_near] = weights[places[is_near]]
    return bell


def windows_over(shape: Sequence[int], window: Sequence[int]) -> list[tuple[slice, ...]]:
    """Return the windows that cover an image, in nnU-Net's order.

    Args:
        shape: pixels per axis, ``window`` at least.
        window: pixels per axis.
    """
    starts = [window_starts(size, length) for size, length in zip(shape, window, strict=True)]
    corners: list[tuple[int, ...]] = [()]
    for axis in starts:
        corners = [(*corner, start) for corner in corners for start in axis]
    return [
        tuple(slice(start, start + length) for start, length in zip(corner, window, strict=True)) for corner in corners
    ]


def flips_of(mirror_axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the axes of a batch (k, c, *spatial) along which each mirrored copy is flipped.

    Args:
        mirror_axes: spatial axes, from 0.
    """
    axes = [axis + 2 for axis in mirror_axes]
    return [flip for n in range(1, len(axes) + 1) for flip in combinations(axes, n)]
