"""Differences between models with their intervals, around a line at 0."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nnunet_mamba.report.charts.axes import Frame, picture, shortened, ticks

_ROW, _LONGEST_NAME = 62, 62


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The difference of one pair.

    Args:
        first: name of the model whose score it is taken from.
        second: name of the other.
        value: of the difference.
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


def interval_chart(rows: Sequence[Interval], *, title: str, x_title: str) -> Markup:
    """Draw a row for each difference.

    Args:
        rows: from top to bottom.
        title: read aloud by screen readers.
        x_title: below the axis.

    Returns:
        The ``<svg>`` element; empty where nothing is known.
    """
    rows = [row for row in rows if not math.isnan(row.value)]
    if not rows:
        return Markup("")
    numbers = [0.0, *(n for row in rows for n in (row.value, row.low, row.high) if not math.isnan(n))]
    margin = 0.08 * (max(numbers) - min(numbers)) or 0.01
    low, high = min(numbers) - margin, max(numbers) + margin
    height = _ROW * len(rows) + 50
    frame = Frame(height=height, x_range=(low, high), y_range=(0, 1), left=14, right=14, top=4)
    zero = Markup('<line class="zero" x1="{:.1f}" x2="{:.1f}" y1="4" y2="{}"/>')
    parts = [frame.vertical_lines(ticks(low, high)), zero.format(frame.x(0), frame.x(0), height - frame.bottom)]
    parts.append(frame.x_title(x_title))
    parts += [_row(row, frame, top=4 + _ROW * place) for place, row in enumerate(rows)]
    return picture(height, title, parts)


def _row(row: Interval, frame: Frame, *, top: float) -> Markup:
    middle = top + 47
    name = Markup('<text class="name" x="14" y="{:.1f}">{}</text>')
    parts = [
        name.format(top + 15, shortened(row.first, _LONGEST_NAME)),
        name.format(top + 31, f"− {shortened(row.second, _LONGEST_NAME)}"),
    ]
    if not math.isnan(row.low):
        line = Markup('<line class="interval" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
        parts.append(line.format(frame.x(row.low), frame.x(row.high), middle, middle))
    style = "estimate shown" if row.is_shown else "estimate"
    dot = Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="6"/>')
    return Markup("").join([*parts, dot.format(style, frame.x(row.value), middle)])
