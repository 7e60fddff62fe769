"""The columns of statistics.csv, which are the names in statistics.json, and what each of them means."""

from collections.abc import Mapping
from dataclasses import fields

from nnunet_mamba.measurements.label_statistics import LabelStatistics, VolumeStatistics

Value = str | bool | int | float | None
Row = dict[str, Value]

_SIGNIFICANT_DIGITS = 7
_PLACES = ("centroid", "first", "last")

COLUMNS: Mapping[str, str] = {
    "image": "the image, as it was named",
    "mask": "its mask, from the folder of this file",
    "label": "name of the label",
    "is_empty": "whether the mask has nothing of this label",
    "n_parts": "connected parts; those that touch at a corner are one",
    "share_percent": "of the pixels or voxels of the image",
    "area_px": "number of pixels",
    "area_mm2": "area in mm²",
    "perimeter_px": "length of the outline in pixels, holes included; right to about 1 % from a radius of 10 pixels",
    "perimeter_mm": "the same in mm",
    "longest_diameter_px": "largest distance between two points on the outline of one part, in pixels",
    "volume_voxels": "number of voxels",
    "volume_ml": "volume in mL",
    "surface_mm2": "area of the surface in mm², holes included",
    "longest_axial_diameter_px": "largest distance between two points on the outline of one part within one slice, in "
    "pixels",
    "longest_axial_diameter_mm": "the same in mm, as RECIST 1.1 measures a lesion",
    "longest_axial_diameter_slice": "index of the slice with this diameter; the first slice is 0",
    "longest_diameter_mm": "largest distance between two points on the outline of one part, in mm; of a volume, in any "
    "direction",
    "centroid_x": "mean column of all parts; the first column is 0",
    "centroid_y": "mean row",
    "centroid_z": "mean slice",
    "first_x": "first column",
    "last_x": "last column",
    "first_y": "first row",
    "last_y": "last row",
    "first_z": "first slice",
    "last_z": "last slice",
}


def table_row(statistics: LabelStatistics, *, image: str, mask: str) -> Row:
    """Return what the table says of one label of one image, by the names in ``COLUMNS`` and in their order.

    Args:
        statistics: of the label.
        image: how the image was named.
        mask: path of its mask from the folder of the table, with forward slashes.
    """
    axes = "zyx" if isinstance(statistics, VolumeStatistics) else "yx"
    row: Row = {"image": image, "mask": mask}
    for field in fields(statistics):
        value = getattr(statistics, field.name)
        if field.name in _PLACES:
            places = value or (None,) * len(axes)
            row |= {f"{field.name}_{axis}": _rounded(place) for axis, place in zip(axes, places, strict=True)}
        else:
            row[field.name] = _rounded(value)
    return {name: row[name] for name in COLUMNS if name in row}


def _rounded(value: Value) -> Value:
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") if isinstance(value, float) else value
