"""Smooth outlines on a picture. Pillow draws jagged lines, so they are drawn large and made smaller."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, product

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw

from nnunet_mamba.overlays.outlines import Line, outlines

Mask = npt.NDArray[np.bool_]

# The colours of Okabe and Ito (2008, "Color universal design"), which people with any kind of colour vision tell apart.
# That of predictions in reports comes first, and white takes the place of black, which edges have.
COLOURS = ("#ffe81a", "#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#0072b2", "#ffffff")
_DASHES = (0.0, 5.0, 2.0)

_ENLARGED = 3
# In widths of a line: how much of it lies inside of its label, so that neighbours have a line each; and its dark edge,
# which keeps light colours visible on light pictures.
_INSIDE, _EDGE = 0.75, 0.35
_OPACITY_OF_EDGE = 0.75


@dataclass(frozen=True)
class Pen:
    """A colour and a kind of line.

    Args:
        colour: such as "#ffe81a".
        dash: length of a dash and of the gap behind it, in widths of the line; 0 is a solid line.
    """

    colour: str
    dash: float


def pens() -> Iterator[Pen]:
    """Yield pens without end: solid lines in all colours, then dashed and dotted ones, then the same again."""
    return cycle(Pen(colour, dash) for dash, colour in product(_DASHES, COLOURS))


def draw_outlines(picture: Image.Image, outlined: Sequence[tuple[Mask, Pen]], *, width: float) -> None:
    """Draw the outlines of masks on a picture.

    Args:
        picture: RGB, of any size; is changed.
        outlined: masks (y, x), which are stretched over the picture, each with its pen.
        width: of the lines in pixels of the picture.
    """
    strokes = [_strokes(picture.size, mask, pen, width) for mask, pen in outlined]
    # All edges come first, so that none covers the line of a neighbour.
    for _, edge in strokes:
        picture.paste("black", mask=edge.point([round(_OPACITY_OF_EDGE * level) for level in range(256)]))
    for (line, _), (_, pen) in zip(strokes, outlined, strict=True):
        picture.paste(pen.colour, mask=line)


def draw_line(picture: Image.Image, line: Line, pen: Pen, *, width: float) -> None:
    """Draw one open line, without an edge.

    Args:
        picture: RGB; is changed.
        line: (n, 2), x and y from the upper left corner.
        pen: its colour and kind.
        width: in pixels.
    """
    drawing = _Drawing(picture.size, [line], margin=width)
    picture.paste(pen.colour, mask=drawing.coverage(drawing.stroke(_dashed([line], pen, width), width)))


def _strokes(size: tuple[int, int], mask: Mask, pen: Pen, width: float) -> tuple[Image.Image, Image.Image]:
    """Return where the line of a mask is drawn, and where its edge."""
    scale = np.array(size) / mask.shape[::-1]
    lines = [np.concatenate([line, line[:1]]) * scale for line in outlines(mask)]
    drawing = _Drawing(size, lines, margin=2 * width)
    inside, dashes = drawing.area(lines), _dashed(lines, pen, width)
    line, edge = (
        drawing.coverage(
            ImageChops.lighter(
                ImageChops.darker(inside, drawing.stroke(dashes, 2 * width * (_INSIDE + more))),
                drawing.stroke(dashes, 2 * width * (1 - _INSIDE + more)),
            )
        )
        for more in (0.0, _EDGE)
    )
    return line, edge


class _Drawing:
    """The part of a picture around some lines, enlarged.

    Args:
        size: of the picture.
        lines: in pixels of the picture.
        margin: around them in pixels.
    """

    def __init__(self, size: tuple[int, int], lines: Sequence[Line], *, margin: float) -> None:
        self._size = size
        corners = np.concatenate(lines) if lines else np.zeros((1, 2))
        self._start = np.maximum(np.floor(corners.min(axis=0) - margin), 0).astype(int)
        self._stop = np.minimum(np.ceil(corners.max(axis=0) + margin), size).astype(int)

    def stroke(self, lines: Iterable[Line], width: float) -> Image.Image:
        """Return lines of a certain width, white on black."""
        image, draw = self._blank()
        for line in lines:
            draw.line(self._points(line), fill=255, width=max(1, round(width * _ENLARGED)), joint="curve")
        return image

    def area(self, lines: Iterable[Line]) -> Image.Image:
        """Return what closed outlines enclose, white on black."""
        image, draw = self._blank()
        areas = [(_signed_area(line), line) for line in lines]
        # An outline lies within larger ones only, and turns the other way around a hole.
        for area, line in sorted(areas, key=lambda pair: -abs(pair[0])):
            draw.polygon(self._points(line), fill=255 if area > 0 else 0)
        return image

    def coverage(self, enlarged: Image.Image) -> Image.Image:
        """Return how much of each pixel of the picture is white, 0 to 255."""
        coverage = Image.new("L", self._size)
        coverage.paste(enlarged.reduce(_ENLARGED), tuple(self._start.tolist()))
        return coverage

    def _blank(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        width, height = (_ENLARGED * (self._stop - self._start)).tolist()
        image = Image.new("L", (max(width, _ENLARGED), max(height, _ENLARGED)))
        return image, ImageDraw.Draw(image)

    def _points(self, line: Line) -> list[float]:
        # Pillow counts from the centre of a pixel.
        points: list[float] = ((line - self._start) * _ENLARGED - 0.5).ravel().tolist()
        return points


def _signed_area(line: Line) -> float:
    x, y = line.T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


def _dashed(lines: Sequence[Line], pen: Pen, width: float) -> list[Line]:
    return [dash for line in lines for dash in _dashes(line, pen.dash * width)] if pen.dash else list(lines)


def _dashes(line: Line, length: float) -> Iterator[Line]:
    """Yield the dashes of a line; gaps are as long as dashes."""
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    for start in np.arange(0.0, way[-1], 2 * length):
        ends = np.array([start, min(start + length, way[-1])])
        first, last = (np.stack([np.interp(end, way, line[:, axis]) for axis in (0, 1)]) for end in ends)
        yield np.stack([first, *line[(way > ends[0]) & (way < ends[1])], last])
