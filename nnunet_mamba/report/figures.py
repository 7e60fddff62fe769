"""Pictures inside an HTML page: photographs as data, contours and curves as SVG that follows the page's colours."""

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image

from nnunet_mamba.evaluation.label_pictures import NoLabelMapError, read_label_picture
from nnunet_mamba.overlays.outlines import outlines

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a chart.

    Args:
        name: for the legend.
        values: one per epoch, NaN where there is none.
        style: CSS class that gives the colour.
    """

    name: str
    values: Sequence[float]
    style: str


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


def ticks(low: float, high: float, *, n: int = 5) -> list[float]:
    """Return about ``n`` round numbers within [low, high]."""
    if not high > low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / n))
    step *= min((1, 2, 5, 10), key=lambda factor: abs((high - low) / (factor * step) - n))
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 10) for index in range(first, math.floor(high / step + 1e-9) + 1)]


_WIDTH, _HEIGHT = 520, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 34


def line_chart(series: Sequence[Series], *, title: str, low: float | None = None, high: float | None = None) -> Markup:
    """Draw values over epochs as SVG.

    Args:
        series: at least one; epoch 1 is the first value.
        title: read aloud by screen readers.
        low: lower end of the axis, from the values where None.
        high: upper end of the axis, from the values where None.

    Returns:
        The ``<svg>`` element; empty where no value is a number.
    """
    numbers = [value for line in series for value in line.values if math.isfinite(value)]
    if not numbers:
        return Markup("")
    bottom = min(numbers) if low is None else low
    top = max(numbers) if high is None else high
    margin = 0.06 * (top - bottom) or 0.5
    bottom, top = bottom - (margin if low is None else 0), top + (margin if high is None else 0)
    n_epochs = max(len(line.values) for line in series)

    def x(epoch: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (epoch - 1) / max(n_epochs - 1, 1)

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (top - value) / (top - bottom)

    parts = [Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(_WIDTH, _HEIGHT, title)]
    for tick in ticks(bottom, top):
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
                _LEFT, _WIDTH - _RIGHT, y(tick), y(tick)
            )
        )
        parts.append(
            Markup('<text x="{}" y="{:.1f}" text-anchor="end" dy="0.35em">{:g}</text>').format(_LEFT - 7, y(tick), tick)
        )
    for tick in (epoch for epoch in ticks(1, n_epochs, n=8) if epoch == int(epoch) and epoch >= 1):
        parts.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{:g}</text>').format(
                x(tick), _HEIGHT - _BOTTOM + 16, tick
            )
        )
    parts.append(Markup('<text x="{}" y="{}" text-anchor="end">epoch</text>').format(_WIDTH - _RIGHT, _HEIGHT - 3))
    for line in series:
        points = [(x(epoch), y(value)) for epoch, value in enumerate(line.values, 1) if math.isfinite(value)]
        parts.append(_polyline(points, line))
    return Markup("").join([*parts, Markup("</svg>")])


def _polyline(points: Iterable[tuple[float, float]], line: Series) -> Markup:
    points = list(points)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    drawn = Markup('<polyline class="line {}" points="{}"/>').format(line.style, path)
    # Few epochs are shown as points too, so that a single one is visible.
    if len(points) <= 30:
        dot = Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="3"/>')
        drawn += Markup("").join(dot.format(line.style, x, y) for x, y in points)
    return drawn
