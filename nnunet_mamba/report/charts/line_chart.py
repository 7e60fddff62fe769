"""Values over epochs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nnunet_mamba.report.charts.axes import Frame, picture, ticks

_HEIGHT = 264
# Of a line; more are not seen on a screen.
_MOST_POINTS = 400


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
class Curves:
    """What one chart shows.

    Args:
        title: above it.
        series: its lines.
        low: lower end of the axis, from the values where None.
        high: upper end of the axis, from the values where None.
    """

    title: str
    series: Sequence[Series]
    low: float | None = None
    high: float | None = None


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
    frame = Frame(
        height=_HEIGHT, x_range=(1, max(n_epochs, 2)), y_range=(bottom, top), left=46, right=24, top=10, bottom=48
    )
    epochs = [epoch for epoch in ticks(1, n_epochs, n=5) if epoch == int(epoch) and epoch >= 1]
    parts = [frame.horizontal_lines(ticks(bottom, top)), frame.vertical_lines(epochs, has_lines=False)]
    parts.append(frame.x_title("epoch"))
    parts += [_polyline(line, frame, has_dots=len(series) <= 3) for line in series]
    return picture(_HEIGHT, title, parts)


def thinned(points: Sequence[tuple[int, float]], most: int) -> Sequence[tuple[int, float]]:
    """Return some points of a line: its ends, and of each stretch the lowest and the highest, so that peaks stay.

    Args:
        points: of the line, in its order.
        most: how many are kept, at least 4.
    """
    if len(points) <= most:
        return points
    n_stretches = (most - 2) // 2
    inner = points[1:-1]
    kept = {0, len(points) - 1}
    for stretch in range(n_stretches):
        places = range(len(inner) * stretch // n_stretches, len(inner) * (stretch + 1) // n_stretches)
        kept |= {1 + choose(places, key=lambda place: inner[place][1]) for choose in (min, max)}
    return [points[place] for place in sorted(kept)]


def _polyline(line: Series, frame: Frame, *, has_dots: bool) -> Markup:
    known = [(epoch, value) for epoch, value in enumerate(line.values, 1) if math.isfinite(value)]
    points = [(frame.x(epoch), frame.y(value)) for epoch, value in thinned(known, _MOST_POINTS)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    drawn = Markup('<polyline class="line {}" points="{}"/>').format(line.style, path)
    # Few epochs are shown as points too, so that a single one is visible.
    if len(points) == 1 or (has_dots and len(points) <= 30):
        dot = Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="3"/>')
        drawn += Markup("").join(dot.format(line.style, x, y) for x, y in points)
    return drawn
