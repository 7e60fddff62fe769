"""Charts as PNG for slides and as SVG for papers, drawn by matplotlib from the same numbers as the page's."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_mamba.report.charts.colours import UNKNOWN, model_colour
from nnunet_mamba.report.charts.distribution_chart import Distribution
from nnunet_mamba.report.charts.label_places import Box, free_place
from nnunet_mamba.report.charts.scatter_chart import Point
from nnunet_mamba.system.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ENDINGS = (".png", ".svg")
_DOTS_PER_INCH = 300
_GIGA = 1e9
_INK, _SOFT, _GRID = "#333333", "#666666", "#dddddd"
# Points of 1/72 inch: of the font, of a letter and of a line.
_FONT, _LETTER, _LINE = 6.5, 3.9, 8.0


def save_scatter(points: Sequence[Point], stem: Path, *, y_title: str) -> list[Path]:
    """Draw a score over parameters, with the operations of an image as colour.

    Args:
        points: at least one.
        stem: of the files, without an ending.
        y_title: of the vertical axis.

    Returns:
        The files: stem.png and stem.svg.

    Raises:
        OSError: they cannot be written.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    figure = _figure(6.4, 4.4)
    axes = figure.subplots()
    known = [point.amount / _GIGA for point in points if point.amount > 0]
    norm = LogNorm(min(known), max(known)) if len(set(known)) > 1 else None
    for point in points:
        is_coloured = norm is not None and point.amount > 0
        colour = colormaps["cividis"](norm(point.amount / _GIGA)) if is_coloured and norm is not None else UNKNOWN
        marker = "D" if point.is_published else "o"
        axes.scatter(
            [point.x], [point.y], s=42, marker=marker, color=[colour], edgecolors=_INK, linewidths=0.7, zorder=3
        )
        if not math.isnan(point.spread):
            axes.errorbar(point.x, point.y, yerr=point.spread, color=_INK, linewidth=1, zorder=2)
    axes.set_xscale("log")
    axes.margins(x=0.2)
    axes.set_xlabel("parameters")
    axes.set_ylabel(y_title)
    axes.grid(color=_GRID, linewidth=0.6)
    if norm is not None:
        figure.colorbar(ScalarMappable(norm, "cividis"), ax=axes, label="GMACs of one image")
    _write_names(figure, axes, points)
    return _saved(figure, stem)


def _write_names(figure: "Figure", axes: "Axes", points: Sequence[Point]) -> None:
    """Write names where they cover nothing; those of one's own networks find their place first."""
    # The layout, and with it the place of every point, is settled by drawing.
    figure.draw_without_rendering()
    per_point = figure.dpi / 72
    radius = 4 * per_point
    places: list[tuple[float, float]] = [tuple(axes.transData.transform((point.x, point.y))) for point in points]
    frame = axes.get_window_extent()
    taken: list[Box] = [(x - radius, y - radius, 2 * radius, 2 * radius) for x, y in places]
    area = (frame.x0, frame.y0, frame.width, frame.height)
    order = sorted(range(len(points)), key=lambda index: (points[index].is_published, -points[index].y))
    for index in order:
        size = (_LETTER * per_point * len(points[index].name), _LINE * per_point)
        box = free_place(places[index], size, taken, area=area, gap=radius + 2 * per_point)
        if box is not None:
            taken.append(box)
            colour = _SOFT if points[index].is_published else _INK
            x, y = axes.transData.inverted().transform((box[0], box[1] + 1.5 * per_point))
            axes.text(x, y, points[index].name, fontsize=_FONT, color=colour, parse_math=False)


def save_distributions(rows: Sequence[Distribution], stem: Path, *, x_title: str) -> list[Path]:
    """Draw the scores of all cases of several models.

    Args:
        rows: from top to bottom.
        stem: of the files, without an ending.
        x_title: of the horizontal axis.

    Returns:
        The files: stem.png and stem.svg.

    Raises:
        OSError: they cannot be written.
    """
    values = [[value for value in row.values if not math.isnan(value)] for row in rows]
    figure = _figure(6.4, 1.2 + 0.7 * len(rows))
    axes = figure.subplots()
    places = list(range(len(rows), 0, -1))
    drawn = axes.boxplot(
        values, positions=places, orientation="horizontal", widths=0.5, showmeans=True, flierprops={"markersize": 3}
    )
    for place, box in enumerate(drawn["boxes"]):
        box.set_color(model_colour(place))
    axes.set_yticks(places, [row.name for row in rows], fontsize=7)
    axes.set_xlabel(x_title)
    axes.grid(axis="x", color=_GRID, linewidth=0.6)
    return _saved(figure, stem)


def _figure(width: float, height: float) -> "Figure":
    # Not pyplot, which keeps figures and chooses a window system.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _saved(figure: "Figure", stem: Path) -> list[Path]:
    files = [stem.with_name(stem.name + ending) for ending in _ENDINGS]
    for file in files:
        with replacing(file) as part:
            figure.savefig(part, format=file.suffix[1:], dpi=_DOTS_PER_INCH)
    return files
