"""Figures of a label map: how large each label is, how long, and in how many parts."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.measurements.boundary_size import boundary_size
from nnunet_mamba.measurements.connected_parts import Box, Mask, box_of, find_parts
from nnunet_mamba.measurements.diameters import longest_axial_diameter, longest_diameter

_BACKGROUND = 0
_MM3_PER_ML = 1000.0


@dataclass(frozen=True, kw_only=True)
class LabelStatistics:
    """What is measured of a label in images and volumes alike.

    Args:
        label: its name.
        is_empty: whether no position has it. Then sizes, share and number of parts are 0, and all else is None.
        share_percent: of the positions of the image.
        n_parts: connected parts; positions that touch at a corner are connected.
        centroid: mean position along each axis, counted from the centre of the first pixel.
        first: index of the first position along each axis.
        last: index of the last position along each axis.
    """

    label: str
    is_empty: bool
    share_percent: float
    n_parts: int
    centroid: tuple[float, ...] | None = None
    first: tuple[int, ...] | None = None
    last: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class AreaStatistics(LabelStatistics):
    """Figures of a label in an image. Those in mm are None where the spacing is unknown.

    Args:
        area_px: number of pixels.
        area_mm2: area.
        perimeter_px: length of the boundary, that of holes included (``boundary_size``).
        perimeter_mm: the same.
        longest_diameter_px: of the longest connected part (``longest_diameter``).
        longest_diameter_mm: the same.
    """

    area_px: int
    area_mm2: float | None = None
    perimeter_px: float | None = None
    perimeter_mm: float | None = None
    longest_diameter_px: float | None = None
    longest_diameter_mm: float | None = None


@dataclass(frozen=True, kw_only=True)
class VolumeStatistics(LabelStatistics):
    """Figures of a label in a volume. Those in mm and mL are None where the spacing is unknown.

    Args:
        volume_voxels: number of voxels.
        volume_ml: volume.
        surface_mm2: area of the surface, that of holes included (``boundary_size``).
        longest_axial_diameter_px: of a connected part within one slice (``longest_axial_diameter``).
        longest_axial_diameter_mm: the same.
        longest_axial_diameter_slice: index of that slice; the one in mm counts where it is known.
        longest_diameter_mm: of the longest connected part, in any direction (``longest_diameter``).
    """

    volume_voxels: int
    volume_ml: float | None = None
    surface_mm2: float | None = None
    longest_axial_diameter_px: float | None = None
    longest_axial_diameter_mm: float | None = None
    longest_axial_diameter_slice: int | None = None
    longest_diameter_mm: float | None = None


def measure(
    label_map: npt.NDArray[np.integer[Any]],
    *,
    labels: Mapping[str, int | Sequence[int]],
    spacing: Sequence[float] | None = None,
    slice_axis: int = 0,
) -> list[AreaStatistics] | list[VolumeStatistics]:
    """Measure every label of a label map.

    Args:
        label_map: (y, x) or (z, y, x).
        labels: number of each label, or the numbers of a region; the background's entry may be there or not.
        spacing: mm along each axis; None where it is unknown, as of a photograph.
        slice_axis: axis of a volume that its axial slices are stacked along.

    Returns:
        One for each label but the background, in the order of ``labels``.

    Raises:
        ValueError: the label map is not one of whole numbers in two or three dimensions, or the spacing does not fit.
    """
    _check(label_map, spacing)
    masks = (
        (name, label_map == value if isinstance(value, int) else np.isin(label_map, value))
        for name, value in labels.items()
        if value != _BACKGROUND
    )
    if label_map.ndim == 2:
        return [_measure_area(name, mask, spacing) for name, mask in masks]
    return [_measure_volume(name, mask, spacing, slice_axis) for name, mask in masks]


def _check(label_map: npt.NDArray[Any], spacing: Sequence[float] | None) -> None:
    if label_map.dtype.kind not in "iub" or label_map.ndim not in (2, 3) or not label_map.size:
        raise ValueError(
            f"the label map is {label_map.dtype} with the shape {label_map.shape}, expected whole numbers, (y, x) or "
            "(z, y, x); give one label number at each position"
        )
    if spacing is None:
        return
    if len(spacing) != label_map.ndim or not all(math.isfinite(step) and step > 0 for step in spacing):
        raise ValueError(
            f"the spacing is {tuple(spacing)}, expected {label_map.ndim} numbers above 0 in mm, one for each axis of "
            f"the label map of shape {label_map.shape}; give None where it is unknown"
        )


def _measure_area(name: str, mask: Mask, spacing: Sequence[float] | None) -> AreaStatistics:
    box = box_of(mask)
    if box is None:
        return AreaStatistics(**_nothing(name), area_px=0, area_mm2=None if spacing is None else 0.0)
    n_positions, mask = mask.size, mask[box]
    n, parts = int(np.count_nonzero(mask)), find_parts(mask)
    perimeter_px, perimeter_mm = _in_px_and_mm(lambda steps: boundary_size(mask, steps), spacing)
    diameter_px, diameter_mm = _in_px_and_mm(lambda steps: longest_diameter(parts, steps), spacing)
    return AreaStatistics(
        **_place(name, mask, box, n_positions),
        n_parts=len(parts),
        area_px=n,
        area_mm2=None if spacing is None else n * math.prod(spacing),
        perimeter_px=perimeter_px,
        perimeter_mm=perimeter_mm,
        longest_diameter_px=diameter_px,
        longest_diameter_mm=diameter_mm,
    )


def _measure_volume(name: str, mask: Mask, spacing: Sequence[float] | None, slice_axis: int) -> VolumeStatistics:
    box = box_of(mask)
    if box is None:
        return VolumeStatistics(**_nothing(name), volume_voxels=0, volume_ml=None if spacing is None else 0.0)
    n_positions, mask = mask.size, mask[box]
    n, parts = int(np.count_nonzero(mask)), find_parts(mask)
    slices = np.moveaxis(mask, slice_axis, 0)
    axial_px, place = longest_axial_diameter(slices, (1.0, 1.0))
    axial_mm = None
    if spacing is not None:
        plane = np.delete(spacing, slice_axis).tolist()
        is_square = plane[0] == plane[1]
        axial_mm, place = (axial_px * plane[0], place) if is_square else longest_axial_diameter(slices, plane)
    return VolumeStatistics(
        **_place(name, mask, box, n_positions),
        n_parts=len(parts),
        volume_voxels=n,
        volume_ml=None if spacing is None else n * math.prod(spacing) / _MM3_PER_ML,
        surface_mm2=None if spacing is None else boundary_size(mask, spacing),
        longest_axial_diameter_px=axial_px,
        longest_axial_diameter_mm=axial_mm,
        longest_axial_diameter_slice=box[slice_axis].start + place,
        longest_diameter_mm=None if spacing is None else longest_diameter(parts, spacing),
    )


def _nothing(name: str) -> dict[str, Any]:
    return {"label": name, "is_empty": True, "share_percent": 0.0, "n_parts": 0}


def _place(name: str, mask: Mask, box: Box, n_positions: int) -> dict[str, Any]:
    """Return where a label is; ``mask`` is what lies in ``box``."""
    counts = [np.count_nonzero(mask, axis=tuple(set(range(mask.ndim)) - {axis})) for axis in range(mask.ndim)]
    return {
        "label": name,
        "is_empty": False,
        "share_percent": 100.0 * int(counts[0].sum()) / n_positions,
        "centroid": tuple(
            side.start + float(np.average(np.arange(len(count)), weights=count))
            for side, count in zip(box, counts, strict=True)
        ),
        "first": tuple(side.start for side in box),
        "last": tuple(side.stop - 1 for side in box),
    }


def _in_px_and_mm(
    length: Callable[[Sequence[float]], float], spacing: Sequence[float] | None
) -> tuple[float, float | None]:
    """Return a length within a plane in pixels and in mm."""
    in_px = length((1.0, 1.0))
    if spacing is None:
        return in_px, None
    return in_px, in_px * spacing[0] if spacing[0] == spacing[1] else length(spacing)
