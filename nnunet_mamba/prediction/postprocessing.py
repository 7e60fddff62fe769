"""What a model does to its label maps, where it says so: nnU-Net's largest part, and filled holes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.models.description import FILL_HOLES, KEEP_LARGEST_PART
from nnunet_mamba.prediction.connected_parts import Mask, connected_parts
from nnunet_mamba.prediction.label_maps import LabelMap


def postprocess(label: LabelMap, steps: Sequence[str]) -> LabelMap:
    """Return a label map after some steps, each for one label after the other.

    Args:
        label: (z, y, x), of an image; a single slice counts as 2D.
        steps: of ``description.POSTPROCESSING``, in their order.
    """
    if not steps or not label.any():
        return label
    found: npt.NDArray[Any] = label.copy()
    # In two dimensions what lies in a plane can enclose something.
    plane: npt.NDArray[Any] = found.squeeze()
    for step in steps:
        for value in np.flatnonzero(np.bincount(plane.ravel())[1:]) + 1:
            # Nothing changes outside of the box around a label.
            inside = plane[_box(plane == value)]
            before: Mask = inside == value
            after = _STEPS[step](before)
            inside[before & ~after] = 0
            # Another label inside of this one stays.
            inside[after & (inside == 0)] = value
    return found


def _box(mask: Mask) -> tuple[slice, ...]:
    """Return the smallest box around all that is True; something must be."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        places = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(box)


def _largest_part(mask: Mask) -> Mask:
    """Return the largest part whose pixels share edges (voxels: faces), the first of equal ones."""
    parts = connected_parts(mask)
    sizes = np.bincount(parts.ravel())[1:]
    return mask if len(sizes) < 2 else parts == 1 + int(np.argmax(sizes))


def _without_holes(mask: Mask) -> Mask:
    """Return a mask with what it encloses; what touches the border of the image is not enclosed."""
    parts = connected_parts(np.pad(~mask, 1, constant_values=True))
    filled: Mask = parts[(slice(1, -1),) * mask.ndim] != parts.flat[0]
    return filled


_STEPS: Mapping[str, Callable[[Mask], Mask]] = {KEEP_LARGEST_PART: _largest_part, FILL_HOLES: _without_holes}
