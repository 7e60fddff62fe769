"""Differences between models with their intervals, around a line at 0."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nnunet_mamba.report.charts.axes import LEFT, WIDTH, Frame, name_above, picture, ticks
from nnunet_mamba.report.charts.lettering import text_width

_TOP, _BAND, _BOTTOM = 24, 34, 46
# Beside the mark, or in its place.
UNKNOWN_BOUNDS, UNKNOWN_VALUE = "interval not known", "difference not known"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The difference of one pair.

    Args:
        first: name of the model whose score it is taken from.
        second: name of the other.
        value: of the difference; NaN where it is not known.
        low: lower bound; NaN where it is not known.
        high: upper bound.
        is_shown: whether a difference is shown, which fills the mark.
    """

    first: str
    second: str
    value: float
    low: float
    high: float
    is_shown: bool = False

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Both bounds; None unless both are known."""
        return (self.low, self.high) if math.isfinite(self.low) and math.isfinite(self.high) else None


def sides(*, higher_is_better: bool) -> tuple[str, str]:
    """Return what the sides left and right of the line at 0 mean.

    Args:
        higher_is_better: whether a higher score is a better one.
    """
    left, right = ("worse", "better") if higher_is_better else ("better", "worse")
    return f"← first one {left}", f"first one {right} →"


def interval_chart(rows: Sequence[Interval], *, title: str, x_title: str, higher_is_better: bool = True) -> Markup:
    """Draw a row for each difference.

    Args:
        rows: from top to bottom.
        title: read aloud by screen readers.
        x_title: below the axis.
        higher_is_better: whether a difference above 0 means that the first model of a pair is better.

    Returns:
        The ``<svg>`` element; empty without rows.
    """
    if not rows:
        return Markup("")
    numbers = [0.0, *(n for row in rows if math.isfinite(row.value) for n in (row.value, *(row.bounds or ())))]
    margin = 0.08 * (max(numbers) - min(numbers)) or 0.01
    low, high = min(numbers) - margin, max(numbers) + margin
    names, middles, bottom = [], [], _TOP
    for row in rows:
        for name, style in ((row.first, "name first-name"), (f"against {row.second}", "name")):
            text, height = name_above(name, bottom, style=style)
            names.append(text)
            bottom += height
        middles.append(bottom + _BAND // 2 - 1)
        bottom += _BAND
    frame = Frame(
        height=bottom + _BOTTOM, x_range=(low, high), y_range=(0, 1), left=LEFT, right=LEFT, top=_TOP, bottom=_BOTTOM
    )
    left, right = sides(higher_is_better=higher_is_better)
    side = Markup('<text x="{}" y="14" text-anchor="{}">{}</text>')
    return picture(
        frame.height,
        title,
        [
            side.format(LEFT, "start", left),
            side.format(WIDTH - LEFT, "end", right),
            # Lines part the bands of marks alone, so that none crosses a name.
            _lines("grid", ticks(low, high), middles, frame),
            _lines("zero", [0.0], middles, frame),
            frame.vertical_lines(ticks(low, high), has_lines=False),
            frame.x_title(x_title),
            *names,
            *(_mark(row, frame, middle) for row, middle in zip(rows, middles, strict=True)),
        ],
    )


def _lines(style: str, numbers: Sequence[float], middles: Sequence[float], frame: Frame) -> Markup:
    path = "".join(f"M{frame.x(number):.1f} {middle - 11:.1f}v22" for middle in middles for number in numbers)
    return Markup('<path class="{}" d="{}"/>').format(style, path)


def _mark(row: Interval, frame: Frame, middle: float) -> Markup:
    text = Markup('<text class="note" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    if not math.isfinite(row.value):
        return text.format(LEFT, middle + 4, "start", UNKNOWN_VALUE)
    parts, x = [], frame.x(row.value)
    if row.bounds is None:
        # On the side that the line at 0 is not, where there is room.
        is_right = row.value >= 0 and x + 12 + text_width(UNKNOWN_BOUNDS, 12) < WIDTH
        is_right = is_right or x - 12 - text_width(UNKNOWN_BOUNDS, 12) < 0
        parts.append(
            text.format(x + 12 if is_right else x - 12, middle + 4, "start" if is_right else "end", UNKNOWN_BOUNDS)
        )
    else:
        line = Markup('<line class="interval" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
        parts.append(line.format(*map(frame.x, row.bounds), middle, middle))
    style = "estimate shown" if row.is_shown else "estimate"
    dot = Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="6"/>')
    return Markup("").join([*parts, dot.format(style, x, middle)])
