"""Pictures inside an HTML page: photographs as data, with outlines as SVG."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nnunet_mamba.evaluation.label_pictures import NoLabelMapError, read_label_picture
from nnunet_mamba.overlays.outlines import outlines

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, kw_only=True)
class Contours:
    """Outlines of a label map.

    Args:
        path: SVG path.
        width: of the label map in pixels, the unit of the path.
        height: of the label map in pixels.
    """

    path: str
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A photograph with the outlines of truth and prediction, ready for the page.

    Args:
        identifier: of the case.
        dice: of the case, NaN where neither has a label.
        image: the photograph as a data URI.
        width: of the label map in pixels, the unit of the outlines.
        height: of the label map in pixels.
        aspect: width / height of the photograph.
        truth: SVG path of the label.
        prediction: SVG path of the prediction.
        other: of a second model's prediction.
    """

    identifier: str
    dice: float
    image: str
    width: int
    height: int
    aspect: float
    truth: str
    prediction: str
    other: Contours | None = None


def draw_panel(
    identifier: str, dice: float, *, photograph: Path, label: Path, prediction: Path, other: Path | None = None
) -> Panel:
    """Lay the outlines of a label and a prediction over the photograph they belong to.

    Args:
        identifier: of the case.
        dice: of the case.
        photograph: any size; the outlines are stretched to it.
        label: label map with consecutive integers, (h, w).
        prediction: the same.
        other: a mask by a second model, of any size.

    Raises:
        ValueError: label and prediction differ in size, or one of them is no label map.
        OSError: a file cannot be read.
    """
    truth, predicted = (_read_label_map(path) for path in (label, prediction))
    if truth.shape != predicted.shape:
        raise ValueError(
            f"{identifier}: prediction is {predicted.shape} ({prediction}), label is {truth.shape} ({label}); "
            "expected equal sizes: predict the images that the labels belong to"
        )
    with Image.open(photograph) as opened:
        picture = opened.convert("RGB")
    return Panel(
        identifier=identifier,
        dice=dice,
        image=encode_photograph(picture),
        width=truth.shape[1],
        height=truth.shape[0],
        aspect=picture.width / picture.height,
        truth=outline(truth),
        prediction=outline(predicted),
        other=None if other is None else _contours(_read_label_map(other)),
    )


def _contours(label_map: Array) -> Contours:
    height, width = label_map.shape
    return Contours(path=outline(label_map), width=width, height=height)


def _read_label_map(path: Path) -> Array:
    try:
        return read_label_picture(path)
    except NoLabelMapError as error:
        raise ValueError(f"{path} is no label map: it {error}") from error
    except (ValueError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read ({error}); write it again") from error


def encode_photograph(picture: Image.Image, *, longest: int = 400) -> str:
    """Return a photograph as a data URI, shrunk so that its longer side has at most ``longest`` pixels.

    JPEG: a photograph's PNG is six times as large, and the contours are not part of it.
    """
    picture = picture.copy()
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def outline(label_map: Array) -> str:
    """Return the outlines of all labels but 0 as one SVG path, in pixels from the upper left corner."""
    return "".join(
        "M" + "L".join(f"{x:.4g} {y:.4g}" for x, y in line) + "Z"
        for value in np.unique(label_map)
        if value != 0
        for line in outlines(label_map == value)
    )
