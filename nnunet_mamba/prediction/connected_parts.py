"""Which positions of a mask belong together: runs of its rows, joined where neighbouring rows have them side by side.

As scipy's label with the cross that it takes by default. Masks of photographs have few runs, so that this takes half of
scipy's time, and needs no scipy, whose import takes longer than an image.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Mask: TypeAlias = npt.NDArray[np.bool_]
Numbers: TypeAlias = npt.NDArray[np.int64]


def connected_parts(mask: Mask) -> Numbers:
    """Return the part that each position belongs to.

    Args:
        mask: (*spatial), of any number of axes; positions that share an edge (voxels: a face) belong together.

    Returns:
        (*spatial), from 1 in the order of the parts' first positions; 0 where the mask is False.
    """
    # One place more in each row ends its last run, which would go on in the next one.
    rows = np.zeros((*mask.shape[:-1], mask.shape[-1] + 1), dtype=np.bool_)
    rows[..., :-1] = mask
    changes = np.flatnonzero(np.diff(rows.ravel(), prepend=False))
    starts, ends = changes[::2], changes[1::2]
    values = np.zeros(len(changes) + 1, dtype=np.int64)
    values[1::2] = _joined(len(starts), *_neighbours(starts, ends, rows.shape))
    lengths = np.diff(changes, prepend=0, append=rows.size)
    numbers: Numbers = np.repeat(values, lengths).reshape(rows.shape)[..., :-1]
    return numbers


def _neighbours(starts: Numbers, ends: Numbers, shape: tuple[int, ...]) -> tuple[Numbers, Numbers]:
    """Return the indices of runs that lie side by side, each pair once.

    Args:
        starts: flat positions where runs begin, in their order.
        ends: those behind them; a position that belongs to none ends each row.
        shape: of the rows, with that position.
    """
    firsts, seconds = [], []
    stride = shape[-1]
    for length in reversed(shape[:-1]):
        # Those that are not last along the axis, and the range of runs that begin before their end, one step on.
        index = np.flatnonzero(starts // stride % length < length - 1)
        low = np.searchsorted(ends, starts[index] + stride, side="right")
        high = np.searchsorted(starts, ends[index] + stride, side="left")
        n_pairs = np.maximum(high - low, 0)
        firsts.append(np.repeat(index, n_pairs))
        offsets = np.arange(n_pairs.sum()) - np.repeat(np.cumsum(n_pairs) - n_pairs, n_pairs)
        seconds.append(np.repeat(low, n_pairs) + offsets)
        stride *= length
    return np.concatenate([np.empty(0, np.int64), *firsts]), np.concatenate([np.empty(0, np.int64), *seconds])


def _joined(n: int, first: Numbers, second: Numbers) -> Numbers:
    """Return the number of each run's part, from 1 in their order.

    Args:
        n: number of runs.
        first: runs that belong together with those of ``second``.
        second: of the same length.
    """
    root = np.arange(n)
    while (differ := root[first] != root[second]).any():
        # Of each pair, the later root hangs itself under the earlier one; of several, the earliest.
        first, second = first[differ], second[differ]
        one, other = root[first], root[second]
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while (root[root] != root).any():
            root = root[root]
    ranks: Numbers = np.cumsum(root == np.arange(n))
    return ranks[root]
