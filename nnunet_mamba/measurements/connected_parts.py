"""The connected parts of a mask. Pixels and voxels that touch at a corner belong together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Box = tuple[slice, ...]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The connected parts of a mask.

    Args:
        numbers: the part that each position belongs to, from 1; 0 is background, (*spatial).
        boxes: the smallest box around each part.
    """

    numbers: npt.NDArray[np.int32]
    boxes: Sequence[Box]

    def __len__(self) -> int:
        return len(self.boxes)

    def mask(self, index: int) -> Mask:
        """Return the mask of a part within its box."""
        mask: Mask = self.numbers[self.boxes[index]] == index + 1
        return mask


def find_parts(mask: Mask) -> Parts:
    """Find the connected parts of a mask, of which there may be none.

    Args:
        mask: (y, x) or (z, y, x).
    """
    from scipy import ndimage

    numbers, _ = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    return Parts(numbers=numbers, boxes=ndimage.find_objects(numbers))


def box_of(mask: Mask) -> Box | None:
    """Return the smallest box around the foreground of a mask, None without any."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        if not occupied.size:
            return None
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(box)
