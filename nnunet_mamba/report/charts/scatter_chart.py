"""A score over the number of parameters, with the operations of an image as colour: the papers' first figures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nnunet_mamba.report.charts.axes import WIDTH, Frame, log_ticks, picture, shortened, ticks
from nnunet_mamba.report.charts.colours import amount_colour, log_share
from nnunet_mamba.report.charts.label_places import Box, free_place

_HEIGHT, _BAR = 400, 42
_RADIUS = 7
_LONGEST_NAME = 34
# Of a letter, at the size of the page's style.
_LETTER, _LINE = 6.4, 14


@dataclass(frozen=True, kw_only=True)
class Point:
    """A network.

    Args:
        name: beside the point.
        x: parameters, > 0, which the axis shows in millions.
        y: score.
        amount: operations of an image; NaN where they are not known.
        spread: of the score; NaN without.
        is_published: whether others have measured it, which gives it another shape.
    """

    name: str
    x: float
    y: float
    amount: float = math.nan
    spread: float = math.nan
    is_published: bool = False


def scatter_chart(points: Sequence[Point], *, title: str, x_title: str, y_title: str, amount_title: str) -> Markup:
    """Draw points over a logarithmic axis, with a bar that explains their colours.

    Args:
        points: in any order.
        title: read aloud by screen readers.
        x_title: below the axis.
        y_title: above the axis.
        amount_title: beside the bar of colours.

    Returns:
        The ``<svg>`` element; empty without points.
    """
    points = [point for point in points if point.x > 0 and math.isfinite(point.y)]
    if not points:
        return Markup("")
    x_range, y_range = _log_range(points), _range(points)
    frame = Frame(height=_HEIGHT, x_range=x_range, y_range=y_range, is_log=True, top=30, bottom=42 + _BAR)
    amounts = [point.amount for point in points]
    parts = [
        Markup('<text x="6" y="16">{}</text>').format(y_title),
        frame.horizontal_lines(ticks(*frame.y_range)),
        frame.vertical_lines(log_ticks(*frame.x_range), scale=1e-6),
        Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(WIDTH - 14, _HEIGHT - _BAR - 8, x_title),
    ]
    taken: list[Box] = [
        (frame.x(point.x) - _RADIUS, frame.y(point.y) - _RADIUS, 2 * _RADIUS, 2 * _RADIUS) for point in points
    ]
    for point in sorted(points, key=lambda each: not each.is_published):
        parts.append(_drawn(point, frame, amount_colour(log_share(point.amount, amounts))))
    # Names of one's own networks find their place first.
    for point in sorted(points, key=lambda each: (each.is_published, -each.y)):
        parts.append(_name(point, frame, taken))
    return picture(_HEIGHT, title, [*parts, _colour_bar(amounts, amount_title)])


def _log_range(points: Sequence[Point]) -> tuple[float, float]:
    low, high = min(point.x for point in points), max(point.x for point in points)
    return low / 1.6, high * 1.6


def _range(points: Sequence[Point]) -> tuple[float, float]:
    spreads = [0.0 if math.isnan(point.spread) else point.spread for point in points]
    low = min(point.y - spread for point, spread in zip(points, spreads, strict=True))
    high = max(point.y + spread for point, spread in zip(points, spreads, strict=True))
    margin = 0.12 * (high - low) or 0.02
    return low - margin, high + margin


def _drawn(point: Point, frame: Frame, colour: str) -> Markup:
    x, y = frame.x(point.x), frame.y(point.y)
    parts = []
    if not math.isnan(point.spread):
        bar = Markup('<line class="spread" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
        parts.append(bar.format(x, x, frame.y(point.y - point.spread), frame.y(point.y + point.spread)))
    if point.is_published:
        diamond = Markup('<path class="point published" fill="{}" d="M{:.1f} {:.1f}l{} {}l{} {}l{} {}z"/>')
        r = _RADIUS - 1
        parts.append(diamond.format(colour, x, y - r, r, r, -r, r, -r, -r))
    else:
        parts.append(
            Markup('<circle class="point" fill="{}" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(colour, x, y, _RADIUS)
        )
    return Markup("").join(parts)


def _name(point: Point, frame: Frame, taken: list[Box]) -> Markup:
    text = shortened(point.name, _LONGEST_NAME)
    size = (_LETTER * len(text), _LINE)
    area = (4.0, 20.0, WIDTH - 6.0, frame.height - frame.bottom - 20.0)
    box = free_place((frame.x(point.x), frame.y(point.y)), size, taken, area=area, gap=_RADIUS + 4)
    if box is None:
        # The tables have it.
        return Markup("")
    taken.append(box)
    style = "name published" if point.is_published else "name"
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(style, box[0], box[1] + 11, text)


def _colour_bar(amounts: Sequence[float], title: str) -> Markup:
    known = [each for each in amounts if each > 0]
    if not known:
        return Markup("")
    left, width, n = 50, 200, 40
    top = _HEIGHT - _BAR + 12
    step = Markup('<rect x="{:.1f}" y="{}" width="{:.1f}" height="10" fill="{}"/>')
    cells = [step.format(left + width * i / n, top, width / n + 0.5, amount_colour(i / (n - 1))) for i in range(n)]
    text = Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>')
    low, high = (f"{each / 1e9:.3g}" for each in (min(known), max(known)))
    return Markup("").join(
        [
            *cells,
            text.format(left - 6, top + 10, "end", low),
            text.format(left + width + 6, top + 10, "start", f"{high} {title}"),
        ]
    )
