"""The scores of all cases of several models: each case as a dot, quartiles as a box, the mean as a diamond."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nnunet_mamba.report.charts.axes import LEFT, Frame, name_above, picture, ticks

_BAND = 47
NO_SCORE = "no case has a score"
# Dots of more cases would be a blot, and a large page.
_MOST_DOTS = 400
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """The scores of one model.

    Args:
        name: above its row.
        values: one for each case; NaN is none.
    """

    name: str
    values: Sequence[float]


def distribution_chart(rows: Sequence[Distribution], *, title: str, x_title: str) -> Markup:
    """Draw a row for each model.

    Args:
        rows: from top to bottom; one without values says so.
        title: read aloud by screen readers.
        x_title: below the axis, which spans 0 to 1.

    Returns:
        The ``<svg>`` element; empty without values.
    """
    known = [sorted(value for value in row.values if math.isfinite(value)) for row in rows]
    if not any(known):
        return Markup("")
    names, tops, bottom = [], [], 4
    for row in rows:
        name, height = name_above(row.name, bottom)
        names.append(name)
        tops.append(bottom + height)
        bottom += height + _BAND
    frame = Frame(height=bottom + 46, x_range=(0, 1), y_range=(0, 1), left=LEFT, right=LEFT, top=4)
    parts = [frame.vertical_lines(ticks(0, 1)), frame.x_title(x_title), *names]
    for place, (values, top) in enumerate(zip(known, tops, strict=True)):
        if values:
            parts.append(_row(values, frame, middle=top + 22, style=f"model-{place}"))
        else:
            parts.append(Markup('<text class="note" x="{}" y="{}">{}</text>').format(LEFT, top + 26, NO_SCORE))
    return picture(frame.height, title, parts)


def _row(values: Sequence[float], frame: Frame, *, middle: float, style: str) -> Markup:
    step = max(1, math.ceil(len(values) / _MOST_DOTS))
    # One path instead of an element for each case; spread by a sequence that looks random and is always the same.
    dots = "".join(
        f"M{frame.x(value):.1f} {middle - 13 + 26 * (index * _GOLDEN % 1):.1f}h0"
        for index, value in enumerate(values[::step])
    )
    parts = [Markup('<path class="dots {}" d="{}"/>').format(style, dots)]
    median = statistics.median(values)
    low, high = _quartiles(values)
    box = Markup('<rect class="box {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="18"/>')
    parts.append(box.format(style, frame.x(low), middle - 9, max(1.0, frame.x(high) - frame.x(low))))
    line = Markup('<line class="median" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
    parts.append(line.format(frame.x(median), frame.x(median), middle - 9, middle + 9))
    mean = statistics.fmean(values)
    diamond = Markup('<path class="mean" d="M{:.1f} {:.1f}l5 5l-5 5l-5 -5z"/>').format(frame.x(mean), middle - 5)
    return Markup("").join([*parts, diamond])


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third
