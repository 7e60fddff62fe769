"""Charts as PNG for slides and as SVG for papers, drawn by matplotlib from the same numbers as the page's."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_mamba.report.charts.colours import model_colour, model_dash, place_of_style
from nnunet_mamba.report.charts.distribution_chart import NO_SCORE, Distribution
from nnunet_mamba.report.charts.interval_chart import UNKNOWN_BOUNDS, UNKNOWN_VALUE, Interval, sides
from nnunet_mamba.report.charts.lettering import in_two_lines
from nnunet_mamba.report.charts.line_chart import Curves
from nnunet_mamba.report.figure_files import GRID, INK, SOFT, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 6.4
# The colour of what the page draws in its accent.
_ACCENT = "#00688b"
_NAME_SIZE, _LINE_WIDTH = 7, 1.1
# Ems of a name; a longer one would leave little room for what it names.
_LONGEST_LINE = 24


def save_distributions(rows: Sequence[Distribution], stem: Path, *, x_title: str) -> list[Path]:
    """Draw the scores of all cases of several models.

    Args:
        rows: from top to bottom.
        stem: of the files, without an ending.
        x_title: of the horizontal axis.

    Returns:
        The files: stem.png and stem.svg; none without a score.

    Raises:
        OSError: they cannot be written.
    """
    values = [[value for value in row.values if math.isfinite(value)] for row in rows]
    if not any(values):
        return []
    figure = new_figure(_WIDTH, 1.2 + 0.7 * len(rows))
    axes = figure.subplots()
    places = list(range(len(rows), 0, -1))
    drawn = axes.boxplot(
        values,
        positions=places,
        orientation="horizontal",
        widths=0.5,
        showmeans=True,
        flierprops={"markersize": 3, "markeredgecolor": SOFT},
        medianprops={"color": INK, "linewidth": 1.6},
        meanprops={"marker": "D", "markersize": 4.5, "markerfacecolor": INK, "markeredgecolor": "white"},
    )
    for place, box in enumerate(drawn["boxes"]):
        box.set(color=model_colour(place), linewidth=1.6)
    for place, of_row in zip(places, values, strict=True):
        if not of_row:
            axes.text(0.5, place, NO_SCORE, transform=axes.get_yaxis_transform(), color=SOFT, ha="center", va="center")
    axes.set_yticks(places, [_in_lines(row.name) for row in rows], fontsize=_NAME_SIZE, parse_math=False)
    axes.set_xlabel(x_title)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    return save_figure(figure, stem)


def _in_lines(name: str) -> str:
    return "\n".join(in_two_lines(name, width=_LONGEST_LINE, size=1))


def save_curves(charts: Sequence[Curves], stem: Path) -> list[Path]:
    """Draw values over epochs, a chart below the other.

    Args:
        charts: each with its lines, whose styles are those of models.
        stem: of the files, without an ending.

    Returns:
        The files: stem.png and stem.svg; none where no value is a number.

    Raises:
        OSError: they cannot be written.
    """
    from matplotlib.lines import Line2D

    charts = [chart for chart in charts if any(math.isfinite(value) for line in chart.series for value in line.values)]
    if not charts:
        return []
    n_models = len({line.style for chart in charts for line in chart.series})
    figure = new_figure(_WIDTH, 2.4 * len(charts) + 0.4 + 0.16 * n_models)
    all_axes = figure.subplots(len(charts), 1, sharex=True, squeeze=False)[:, 0]
    names: dict[int, str] = {}
    for chart, axes in zip(charts, all_axes, strict=True):
        for line in chart.series:
            place = place_of_style(line.style)
            names.setdefault(place, line.name)
            known = [(epoch, value) for epoch, value in enumerate(line.values, 1) if math.isfinite(value)]
            marker = "." if len(known) == 1 else ""
            axes.plot(
                [epoch for epoch, _ in known],
                [value for _, value in known],
                linewidth=_LINE_WIDTH,
                marker=marker,
                **_line_look(place),
            )
        axes.set_ylim(chart.low, chart.high)
        axes.set_title(chart.title, fontsize=9, loc="left")
        axes.grid(color=GRID, linewidth=0.6)
    all_axes[-1].set_xlabel("epoch")
    all_axes[-1].xaxis.get_major_locator().set_params(integer=True)
    handles = [Line2D([], [], label=name, **_line_look(place)) for place, name in sorted(names.items())]
    legend = figure.legend(handles=handles, loc="outside lower left", fontsize=_NAME_SIZE, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return save_figure(figure, stem)


def _line_look(place: int) -> dict[str, Any]:
    dash = model_dash(place)
    style = "solid" if dash == "none" else (0, tuple(float(part) for part in dash.split()))
    return {"color": model_colour(place), "linestyle": style}


def save_intervals(rows: Sequence[Interval], stem: Path, *, x_title: str, higher_is_better: bool = True) -> list[Path]:
    """Draw the differences of pairs with their intervals.

    Args:
        rows: from top to bottom.
        stem: of the files, without an ending.
        x_title: of the horizontal axis.
        higher_is_better: whether a difference above 0 means that the first model of a pair is better.

    Returns:
        The files: stem.png and stem.svg; none without rows.

    Raises:
        OSError: they cannot be written.
    """
    if not rows:
        return []
    figure = new_figure(_WIDTH, 1.3 + 0.56 * len(rows))
    axes = figure.subplots()
    places = list(range(len(rows), 0, -1))
    for place, row in zip(places, rows, strict=True):
        _draw_interval(axes, row, place)
    axes.axvline(0, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    names = [f"{_in_lines(row.first)}\n{_in_lines(f'against {row.second}')}" for row in rows]
    axes.set_yticks(places, names, fontsize=_NAME_SIZE, parse_math=False)
    axes.set_ylim(0.4, len(rows) + 0.6)
    left, right = sides(higher_is_better=higher_is_better)
    axes.set_xlabel(x_title)
    axes.set_title(left, fontsize=8, loc="left", color=SOFT)
    axes.set_title(right, fontsize=8, loc="right", color=SOFT)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    return save_figure(figure, stem)


def _draw_interval(axes: "Axes", row: Interval, place: int) -> None:
    if not math.isfinite(row.value):
        axes.text(
            0.02,
            place,
            UNKNOWN_VALUE,
            transform=axes.get_yaxis_transform(),
            fontsize=7,
            color=SOFT,
            verticalalignment="center",
            # The line at 0 does not cross it.
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
        return
    if row.bounds is None:
        axes.annotate(
            UNKNOWN_BOUNDS,
            (row.value, place),
            xytext=(7, 0),
            textcoords="offset points",
            fontsize=7,
            color=SOFT,
            verticalalignment="center",
        )
    else:
        axes.plot(row.bounds, [place, place], color=_ACCENT, linewidth=2, solid_capstyle="round", zorder=2)
    colour = _ACCENT if row.is_shown else "white"
    axes.plot([row.value], [place], "o", markersize=6, markerfacecolor=colour, markeredgecolor=_ACCENT, zorder=3)
