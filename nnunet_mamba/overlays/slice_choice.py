"""Which slices of a volume show its labels best."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MOST_SLICES = 9


def choose_slices(areas: npt.NDArray[np.int64], *, most: int = MOST_SLICES) -> list[int]:
    """Choose slices to show: all with a label if they are few, else each label's largest, and others spread between.

    Args:
        areas: positions of each label in each slice, (labels, slices).
        most: slices at most; where there are more labels, the largest count.

    Returns:
        Indices in rising order; the middle slice where there is no label.
    """
    occupied = np.flatnonzero(areas.any(axis=0))
    if len(occupied) <= most:
        return [int(index) for index in occupied] or [areas.shape[1] // 2]
    found = np.flatnonzero(areas.any(axis=1))
    largest = found[np.argsort(-areas[found].max(axis=1), kind="stable")]
    wanted = list(dict.fromkeys(int(areas[label].argmax()) for label in largest))[:most]
    return sorted({*wanted, *_spread(areas.sum(axis=0), most - len(wanted))})


def _spread(areas: npt.NDArray[np.int64], n: int) -> Sequence[int]:
    """Return n slices, or fewer, with equal shares of all positions between them."""
    shares = np.cumsum(areas) / areas.sum()
    return [int(np.searchsorted(shares, (index + 0.5) / n)) for index in range(n)]
