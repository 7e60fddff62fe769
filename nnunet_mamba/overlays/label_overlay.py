"""Pictures that show predicted labels: their outlines on a photograph, on a slice, or on some slices of a volume."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nnunet_mamba.overlays.captions import add_legend, write_caption
from nnunet_mamba.overlays.grey_levels import Window, find_window, grey_levels
from nnunet_mamba.overlays.slice_choice import choose_slices
from nnunet_mamba.overlays.strokes import Mask, Pen, draw_outlines, pens
from nnunet_mamba.system.atomic import replacing

Array = npt.NDArray[Any]
Labels = Mapping[str, int | Sequence[int]]

_BACKGROUND = 0
_LONGEST, _SHORTEST = 2048, 512  # pixels of the longer side
_GAP = 4
# Lines must be seen in thumbnails of 256 pixels.
_WIDTHS_PER_PICTURE = 256
_THINNEST = 2.5
_JPEG_QUALITY = 92
_ENDINGS = (".jpg", ".jpeg", ".png")


def draw_overlay(
    picture: Array,
    label_map: npt.NDArray[np.integer[Any]],
    *,
    labels: Labels,
    spacing: Sequence[float] | None = None,
    window: Window | None = None,
    slice_axis: int = 0,
) -> Image.Image:
    """Draw the outlines of all labels on the image that they belong to.

    The longer side has 512 to 2048 pixels. Of a volume, up to nine slices are shown: the largest one of each label,
    and others spread over all that was found. Several labels get a legend below the picture, and what was not found
    is told in words. A line lies on the border of its label, for the most part inside.

    Args:
        picture: photograph, (y, x, 3) of uint8; grey image, (y, x); or volume, (z, y, x).
        label_map: (y, x) or (z, y, x).
        labels: number of each label, or the numbers of a region; the background's entry may be there or not.
        spacing: mm along each axis of the label map, so that shapes are shown as they are; None shows square pixels.
        window: intensities that are shown as black and white; None takes percentiles, or 0 and 255 for uint8.
        slice_axis: axis of a volume that its slices are stacked along.

    Returns:
        RGB.

    Raises:
        ValueError: the arrays do not fit each other, or the spacing does not fit them.
    """
    _check(picture, label_map, spacing)
    numbers = {name: value for name, value in labels.items() if value != _BACKGROUND}
    if window is None and picture.ndim == label_map.ndim:
        window = find_window(picture)
    is_volume = label_map.ndim == 3
    steps = [1.0] * label_map.ndim if spacing is None else list(spacing)
    if is_volume:
        del steps[slice_axis]
        picture, label_map = (np.moveaxis(array, slice_axis, 0) for array in (picture, label_map))
    else:
        picture, label_map = picture[None], label_map[None]

    areas = {name: np.count_nonzero(_mask(label_map, value), axis=(1, 2)) for name, value in numbers.items()}
    found = {name: pen for name, pen in zip(numbers, pens(), strict=False) if areas[name].any()}
    shown = choose_slices(np.array([areas[name] for name in found], np.int64).reshape(len(found), len(label_map)))
    size = _size(label_map.shape[1:], steps, longest=_LONGEST // _n_columns(len(shown)))
    cells = []
    for index in shown:
        cell = _on_screen(picture[index], window, size)
        outlined = [(_mask(label_map[index], numbers[name]), pen) for name, pen in found.items()]
        draw_outlines(cell, outlined, width=max(_THINNEST, max(size) / _WIDTHS_PER_PICTURE))
        if is_volume:
            write_caption(cell, f"{'zyx'[slice_axis]} {index}", at_top=True)
        cells.append(cell)
    return _with_words(_in_grid(cells), found, [name for name in numbers if name not in found])


def write_overlay(overlay: Image.Image, path: Path) -> None:
    """Write an overlay; the file is whole or absent.

    Args:
        overlay: RGB.
        path: ends in .jpg, .jpeg or .png. JPEG suits photographs; PNG is several times as large.

    Raises:
        ValueError: the path has another ending.
        OSError: the file cannot be written.
    """
    if path.suffix.lower() not in _ENDINGS:
        raise ValueError(f"the overlay {path} ends in {path.suffix!r}, expected .jpg or .png; give it another name")
    with replacing(path) as part:
        # JPEG would smear the colours of thin lines over pairs of pixels; PNG has no such options.
        overlay.save(part, quality=_JPEG_QUALITY, subsampling=0)


def _check(picture: Array, label_map: Array, spacing: Sequence[float] | None) -> None:
    is_photograph = picture.shape == (*label_map.shape, 3) and label_map.ndim == 2 and picture.dtype == np.uint8
    if not is_photograph and (picture.shape != label_map.shape or label_map.ndim not in (2, 3)):
        raise ValueError(
            f"the picture is {picture.dtype} with the shape {picture.shape}, and the label map's is {label_map.shape}, "
            "expected equal ones of two or three axes, or a photograph (y, x, 3) of uint8; give the image that the "
            "label map belongs to"
        )
    if spacing is not None and (len(spacing) != label_map.ndim or not all(math.isfinite(s) and s > 0 for s in spacing)):
        raise ValueError(
            f"the spacing is {tuple(spacing)}, expected {label_map.ndim} numbers above 0; give one an axis"
        )


def _mask(label_map: Array, value: int | Sequence[int]) -> Mask:
    mask: Mask = label_map == value if isinstance(value, int) else np.isin(label_map, value)
    return mask


def _n_columns(n_cells: int) -> int:
    return math.ceil(math.sqrt(n_cells))


def _size(shape: Sequence[int], steps: Sequence[float], *, longest: int) -> tuple[int, int]:
    """Return the width and height to draw (y, x) pixels of a certain spacing in."""
    height, width = (n * step / min(steps) for n, step in zip(shape, steps, strict=True))
    longer = max(height, width)
    # Whole factors keep the pixels of a small picture equal.
    scale = min(longest / longer, max(1, math.ceil(_SHORTEST / longer)))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _on_screen(picture: Array, window: Window | None, size: tuple[int, int]) -> Image.Image:
    pixels = picture if window is None else grey_levels(picture, window)
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)


def _in_grid(cells: Sequence[Image.Image]) -> Image.Image:
    n_columns = _n_columns(len(cells))
    width, height = cells[0].width + _GAP, cells[0].height + _GAP
    grid = Image.new("RGB", (n_columns * width - _GAP, -(-len(cells) // n_columns) * height - _GAP))
    for index, cell in enumerate(cells):
        grid.paste(cell, (index % n_columns * width, index // n_columns * height))
    return grid


def _with_words(overlay: Image.Image, found: Mapping[str, Pen], absent: Sequence[str]) -> Image.Image:
    if not found and absent:
        write_caption(overlay, f"no {absent[0]} found" if len(absent) == 1 else "nothing found")
    return overlay if len(found) + len(absent) < 2 else add_legend(overlay, found, absent)
