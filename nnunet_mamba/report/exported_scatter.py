"""The scatter of a score over parameters as files, drawn by matplotlib from the same points as the page's."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_mamba.report.charts.axes import log_ticks
from nnunet_mamba.report.charts.colours import amount_colour, amount_range, is_known, log_share
from nnunet_mamba.report.charts.label_places import LabelSpace, Spot
from nnunet_mamba.report.charts.lettering import wrapped
from nnunet_mamba.report.charts.scatter_legend import amount_ticks
from nnunet_mamba.report.charts.scatter_names import Lettering, Names, place_names
from nnunet_mamba.report.charts.scatter_points import Point, drawable, left_out_text, unknown_text
from nnunet_mamba.report.figure_files import GRID, INK, SOFT, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

_GIGA, _MILLION = 1e9, 1e6
# Points of 1/72 inch: of the font, a line, half a mark, and half the width of a bar.
_FONT, _LINE, _RADIUS, _BAR = 6.5, 8.0, 3.6, 1.0
_WIDTH, _HEIGHT = 6.4, 4.6


def save_scatter(points: Sequence[Point], stem: Path, *, y_title: str) -> list[Path]:
    """Draw a score over parameters, with the operations of an image as colour.

    Args:
        points: in any order; what has no place on the axes is told below.
        stem: of the files, without an ending.
        y_title: of the vertical axis.

    Returns:
        The files: stem.png and stem.svg; none where no point has a place.

    Raises:
        OSError: they cannot be written.
    """
    shown = drawable(points)
    if not shown:
        return []
    figure = new_figure(_WIDTH, _HEIGHT)
    axes = figure.subplots()
    for point in sorted(shown, key=lambda each: not each.is_published):
        _draw(point, axes, log_share(point.amount, [each.amount for each in shown]))
    axes.set_xscale("log")
    axes.margins(x=0.15, y=0.12)
    axes.autoscale_view()
    axes.set_autoscale_on(False)
    numbers = log_ticks(*axes.get_xlim())
    axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
    axes.minorticks_off()
    axes.set_xlabel("million parameters")
    axes.set_ylabel(y_title)
    axes.grid(color=GRID, linewidth=0.6)
    _add_colour_bar(figure, axes, [point.amount / _GIGA for point in shown if is_known(point.amount)])
    _write_names(axes, shown, _named(figure, axes, points))
    return save_figure(figure, stem)


def _draw(point: Point, axes: "Axes", share: float) -> None:
    colour = amount_colour(share) if is_known(point.amount) else None
    axes.scatter([point.x / _MILLION], [point.y], **_look(colour, is_published=point.is_published))
    if point.reach:
        axes.errorbar(point.x / _MILLION, point.y, yerr=point.reach, color=INK, linewidth=1, zorder=2)


def _look(colour: str | None, *, is_published: bool) -> dict[str, Any]:
    """Return how a mark is drawn; without a colour it is hollow and its outline is broken."""
    is_hollow = is_published or colour is None
    return {
        "marker": "D" if is_published else "o",
        "s": 26 if is_published else 42,
        "facecolors": "none" if is_hollow else colour,
        "edgecolors": (colour or SOFT) if is_hollow else INK,
        "linewidths": 1.4 if is_hollow else 0.7,
        "linestyles": "solid" if colour else [(0, (1.6, 1))],
        "zorder": 3 if is_published else 4,
    }


def _add_colour_bar(figure: "Figure", axes: "Axes", amounts: Sequence[float]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    if not amounts:
        return
    low, high = amount_range(amounts)
    colours = LinearSegmentedColormap.from_list("amounts", [amount_colour(place / 10) for place in range(11)])
    numbers = amount_ticks(low, high)
    bar = figure.colorbar(ScalarMappable(LogNorm(low, high), colours), ax=axes, label="GMACs of one image")
    bar.set_ticks(numbers, labels=[f"{number:g}" for number in numbers])
    bar.minorticks_off()


def _named(figure: "Figure", axes: "Axes", points: Sequence[Point]) -> Names:
    """Write the legend and return the names' places, which depend on the room that it leaves."""
    shown = drawable(points)
    numbered: dict[int, str] = {}
    has_unnamed = False
    while True:
        legend = _add_legend(figure, points, list(numbered.values()), has_unnamed=has_unnamed)
        # The layout, and with it the place of every point, is settled by drawing.
        figure.draw_without_rendering()
        names = _placed(axes, shown, numbered)
        if names.numbered.keys() == numbered.keys() and has_unnamed >= (names.n_unnamed > 0):
            figure.set_layout_engine("none")
            return names
        numbered, has_unnamed = names.numbered, has_unnamed or names.n_unnamed > 0
        if legend is not None:
            legend.remove()


def _placed(axes: "Axes", shown: Sequence[Point], numbered: dict[int, str]) -> Names:
    unit = axes.figure.dpi / 72
    frame = axes.get_window_extent()

    def at(point: Point, y: float | None = None) -> Spot:
        across, up = axes.transData.transform((point.x / _MILLION, point.y if y is None else y))
        return float(across), float(up)

    def empty_space() -> LabelSpace:
        radius, half = _RADIUS * unit, _BAR * unit
        marks = [(x - radius, y - radius, 2 * radius, 2 * radius) for x, y in map(at, shown)]
        bars = []
        for point in shown:
            if point.reach:
                (x, low), (_, high) = at(point, point.y - point.reach), at(point, point.y + point.reach)
                bars.append((x - half, low, 2 * half, high - low))
        return LabelSpace((frame.x0, frame.y0, frame.width, frame.height), marks=marks, bars=bars)

    lettering = Lettering(size=_FONT * unit, line=_LINE * unit, gap=(_RADIUS + 2) * unit)
    return place_names(shown, empty_space, lettering, at=at, numbered=numbered)


def _add_legend(
    figure: "Figure", points: Sequence[Point], numbered: Sequence[str], *, has_unnamed: bool
) -> "Legend | None":
    from matplotlib.lines import Line2D

    axes, shown = figure.axes[0], drawable(points)
    handles: list[Artist] = []
    if any(point.is_published for point in shown) and not all(point.is_published for point in shown):
        for is_published, label in ((False, "measured here"), (True, "published")):
            handles.append(axes.scatter([], [], label=label, **_look(amount_colour(0.0), is_published=is_published)))
    if label := unknown_text(shown):
        look = _look(None, is_published=label.endswith("published"))
        handles.append(axes.scatter([], [], label=label, **look))
    notes = [f"{number}  {name}" for number, name in enumerate(numbered, 1)]
    notes += ["Diamonds without a name have no room for it."] if has_unnamed else []
    lines = [line for note in (*notes, left_out_text(points)) if note for line in wrapped(note, width=70, size=1)]
    handles += [Line2D([], [], linestyle="none", label=line) for line in lines]
    # The legend takes no room of the axes.
    figure.set_size_inches(_WIDTH, _HEIGHT + 1.75 * _FONT / 72 * len(handles))
    if not handles:
        return None
    legend = figure.legend(handles=handles, loc="outside lower left", fontsize=_FONT, frameon=False, handlelength=1)
    for text in legend.get_texts():
        # Names of trainers are no formulas.
        text.set_parse_math(False)
    return legend


def _write_names(axes: "Axes", shown: Sequence[Point], names: Names) -> None:
    to_data = axes.transData.inverted()
    for name in names.written:
        anchor = {"start": "left", "middle": "center", "end": "right"}[name.place.anchor]
        x, y = to_data.transform((name.place.x, name.place.box[1] + name.place.box[3] / 2))
        axes.text(
            x,
            y,
            "\n".join(name.lines),
            fontsize=_FONT,
            color=SOFT if name.point.is_published else INK,
            horizontalalignment=anchor,
            verticalalignment="center",
            linespacing=1.05,
            parse_math=False,
            zorder=6,
        )
        if name.place.leader is not None:
            (x0, y0), (x1, y1) = (to_data.transform(end) for end in name.place.leader)
            axes.plot([x0, x1], [y0, y1], color=SOFT, linewidth=0.5, zorder=2)
