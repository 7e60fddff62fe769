"""Distances between two label maps: one measurement for each label or region."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.evaluation.distances.conventions import NO_DISTANCES, DistanceMeasure, MaskDistances
from nnunet_mamba.evaluation.distances.mask_distances import mask_distances

LabelMap = npt.NDArray[np.integer[Any]]
Box = tuple[slice, ...]


def label_map_distances(
    predicted: LabelMap,
    reference: LabelMap,
    labels: Sequence[int | tuple[int, ...]],
    *,
    measure: DistanceMeasure,
    spacing: Sequence[float] | None = None,
    ignored: int | None = None,
) -> list[MaskDistances]:
    """Measure how far each label or region of two label maps lies apart.

    A volume of one slice is measured in its plane: its voxels have no boundary towards slices that are not there.

    Args:
        predicted: (y, x) or (z, y, x).
        reference: of the same shape.
        labels: a number each, or the numbers that a region joins.
        measure: the convention and the tolerance.
        spacing: mm along each axis; None measures in pixels.
        ignored: what the reference calls so belongs to no label, in neither map.

    Returns:
        One for each of ``labels``.

    Raises:
        ValueError: shapes or the number of spacings differ, or a spacing is not positive.
    """
    if predicted.ndim == 3 and 1 in predicted.shape and predicted.shape == reference.shape:
        axis = predicted.shape.index(1)
        predicted, reference = predicted.squeeze(axis), reference.squeeze(axis)
        spacing = None if spacing is None else [*spacing[:axis], *spacing[axis + 1 :]]
    maps = [predicted, reference]
    if ignored is not None:
        is_used = reference != ignored
        maps = [label_map * is_used for label_map in maps]
    boxes = [_boxes(label_map) for label_map in maps]
    distances = []
    for label in labels:
        numbers = (label,) if isinstance(label, int) else tuple(label)
        box = _joined([found[number] for found in boxes for number in numbers if number in found])
        if box is None:
            distances.append(NO_DISTANCES)
            continue
        one, other = (_mask(label_map[box], numbers) for label_map in maps)
        distances.append(mask_distances(one, other, measure, spacing=spacing, image_shape=predicted.shape))
    return distances


def _boxes(label_map: LabelMap) -> dict[int, Box]:
    """Return the smallest box around each number but 0."""
    from scipy.ndimage import find_objects

    return {number: box for number, box in enumerate(find_objects(label_map), 1) if box is not None}


def _joined(boxes: Sequence[Box]) -> Box | None:
    """Return the smallest box around some, None around none."""
    if not boxes:
        return None
    return tuple(
        slice(min(side.start for side in sides), max(side.stop for side in sides)) for sides in zip(*boxes, strict=True)
    )


def _mask(label_map: LabelMap, numbers: Sequence[int]) -> npt.NDArray[np.bool_]:
    mask = np.zeros(label_map.shape, bool)
    for number in numbers:
        mask |= label_map == number
    return mask
