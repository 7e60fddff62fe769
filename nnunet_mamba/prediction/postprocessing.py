"""What a model does to its label maps, where it says so: nnU-Net's largest part, and filled holes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nnunet_mamba.models.description import FILL_HOLES, KEEP_LARGEST_PART
from nnunet_mamba.prediction.label_maps import LabelMap

_Mask: TypeAlias = npt.NDArray[np.bool_]


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
            before: _Mask = inside == value
            after = _STEPS[step](before)
            inside[before & ~after] = 0
            # Another label inside of this one stays.
            inside[after & (inside == 0)] = value
    return found


def _box(mask: _Mask) -> tuple[slice, ...]:
    """Return the smallest box around all that is True; something must be."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        places = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(box)


def _largest_part(mask: _Mask) -> _Mask:
    """Return the largest part whose pixels share edges (voxels: faces), the first of equal ones."""
    from scipy import ndimage

    parts, n_parts = ndimage.label(mask)
    if n_parts < 2:
        return mask
    largest: _Mask = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return largest


def _without_holes(mask: _Mask) -> _Mask:
    """Return a mask with what it encloses; what touches the border of the image is not enclosed."""
    from scipy import ndimage

    # As scipy's binary_fill_holes, which grows the outside pixel by pixel and takes ten times as long.
    parts, _ = ndimage.label(np.pad(~mask, 1, constant_values=True))
    outside = parts.flat[0]
    filled: _Mask = parts[(slice(1, -1),) * mask.ndim] != outside
    return filled


_STEPS: Mapping[str, Callable[[_Mask], _Mask]] = {KEEP_LARGEST_PART: _largest_part, FILL_HOLES: _without_holes}
