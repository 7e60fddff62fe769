"""A score over the number of parameters, with the operations of an image as colour: the papers' first figures."""

from collections.abc import Sequence

from markupsafe import Markup

from nnunet_mamba.report.charts.axes import WIDTH, Frame, log_ticks, picture, ticks
from nnunet_mamba.report.charts.colours import is_known, log_share
from nnunet_mamba.report.charts.label_places import LabelSpace
from nnunet_mamba.report.charts.scatter_legend import legend_below, mark
from nnunet_mamba.report.charts.scatter_names import Lettering, Names, WrittenName, place_names
from nnunet_mamba.report.charts.scatter_points import Point, drawable

_HEIGHT, _TOP, _BOTTOM = 372, 30, 42
_RADIUS, _BAR_WIDTH = 7, 4
# Of the page's style.
_LETTERING = Lettering(size=12, line=14, gap=_RADIUS + 4)


def scatter_chart(points: Sequence[Point], *, title: str, x_title: str, y_title: str, amount_title: str) -> Markup:
    """Draw points over a logarithmic axis, with a bar that explains their colours.

    Args:
        points: in any order; what has no place on the axes is told below the chart.
        title: read aloud by screen readers.
        x_title: below the axis.
        y_title: above the axis.
        amount_title: beside the bar of colours, with the unit of its numbers, which are amounts / 1e9.

    Returns:
        The ``<svg>`` element; empty where no point has a place.
    """
    shown = drawable(points)
    if not shown:
        return Markup("")
    frame = Frame(
        height=_HEIGHT, x_range=_log_range(shown), y_range=_range(shown), is_log=True, top=_TOP, bottom=_BOTTOM
    )
    amounts = [point.amount for point in shown if is_known(point.amount)]
    names = place_names(
        shown,
        lambda: _space(shown, frame),
        _LETTERING,
        at=lambda point: (frame.x(point.x), frame.y(point.y)),
    )
    below, height = legend_below(points, names, amount_title=amount_title, top=_HEIGHT)
    return picture(
        height,
        title,
        [
            Markup('<text x="6" y="16">{}</text>').format(y_title),
            frame.horizontal_lines(ticks(*frame.y_range)),
            frame.vertical_lines(log_ticks(*frame.x_range), scale=1e-6),
            frame.x_title(x_title),
            _leaders(names),
            *(_spread(point, frame) for point in shown),
            # One's own networks lie above the others.
            *(
                mark(point, x=frame.x(point.x), y=frame.y(point.y), share=log_share(point.amount, amounts))
                for point in sorted(shown, key=lambda each: not each.is_published)
            ),
            *(_name(each) for each in names.written),
            below,
        ],
    )


def _log_range(points: Sequence[Point]) -> tuple[float, float]:
    low, high = min(point.x for point in points), max(point.x for point in points)
    return low / 1.6, high * 1.6


def _range(points: Sequence[Point]) -> tuple[float, float]:
    low = min(point.y - point.reach for point in points)
    high = max(point.y + point.reach for point in points)
    margin = 0.12 * (high - low) or 0.02
    return low - margin, high + margin


def _space(points: Sequence[Point], frame: Frame) -> LabelSpace:
    """Return the plane of names, in which points and their bars are taken."""
    marks = [(frame.x(point.x) - _RADIUS, frame.y(point.y) - _RADIUS, 2.0 * _RADIUS, 2.0 * _RADIUS) for point in points]
    bars = [
        (frame.x(point.x) - _BAR_WIDTH / 2, high, _BAR_WIDTH, frame.y(point.y - point.reach) - high)
        for point in points
        if point.reach and (high := frame.y(point.y + point.reach))
    ]
    area = (frame.left + 3.0, 20.0, WIDTH - frame.left - 5.0, _HEIGHT - _BOTTOM - 20.0)
    return LabelSpace(area, marks=marks, bars=bars)


def _spread(point: Point, frame: Frame) -> Markup:
    if not point.reach:
        return Markup("")
    x = frame.x(point.x)
    bar = Markup('<line class="spread" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
    return bar.format(x, x, frame.y(point.y - point.reach), frame.y(point.y + point.reach))


def _leaders(names: Names) -> Markup:
    line = Markup('<line class="leader" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
    leaders = [each.place.leader for each in names.written if each.place.leader is not None]
    return Markup("").join(line.format(*start, *end) for start, end in leaders)


def _name(name: WrittenName) -> Markup:
    x, top = name.place.x, name.place.box[1]
    lines = Markup("").join(
        Markup('<tspan x="{:.1f}" y="{:.1f}">{}</tspan>').format(x, top + 11 + _LETTERING.line * row, line)
        for row, line in enumerate(name.lines)
    )
    style = "name published" if name.point.is_published else "name"
    return Markup('<text class="{}" text-anchor="{}">{}</text>').format(style, name.place.anchor, lines)
