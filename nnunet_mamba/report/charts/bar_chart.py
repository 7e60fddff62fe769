"""Shares as horizontal bars, each with its name above and its number at the end."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nnunet_mamba.report.charts.axes import LEFT, Frame, name_above, picture
from nnunet_mamba.report.charts.lettering import text_width

_BAND, _SIZE = 28, 12
# Beyond it, the least bar would be no wider than a line.
_LARGEST_RATIO = 100


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar.

    Args:
        name: above it.
        share: 0 to 1.
        text: behind it.
    """

    name: str
    share: float
    text: str


def bar_chart(bars: Sequence[Bar], *, title: str, is_log: bool | None = None) -> Markup:
    """Draw bars, of which the longest takes the whole width.

    Args:
        bars: from top to bottom.
        title: read aloud by screen readers.
        is_log: whether lengths are logarithmic, which an axis below says; None takes it where the largest share is
            more than a hundred times the least that is not 0.

    Returns:
        The ``<svg>`` element; empty without bars.
    """
    if not bars:
        return Markup("")
    known = [bar.share for bar in bars if math.isfinite(bar.share) and bar.share > 0]
    is_log = bool(known) and (max(known) > _LARGEST_RATIO * min(known) if is_log is None else is_log)
    # What the widest text behind the longest bar takes.
    right = math.ceil(max(text_width(bar.text, _SIZE) for bar in bars)) + 16
    names, tops, bottom = [], [], 4
    for bar in bars:
        name, height = name_above(bar.name, bottom)
        names.append(name)
        tops.append(bottom + height + 3)
        bottom += height + _BAND
    largest = max(known, default=1.0)
    # A bar of a logarithmic chart begins at the power of ten below the least share.
    least = 10.0 ** math.floor(math.log10(min(known)) - 1e-9) if is_log else 0.0
    frame = Frame(
        height=bottom + (42 if is_log else 4),
        x_range=(least, largest),
        y_range=(0, 1),
        is_log=is_log,
        left=LEFT,
        right=right,
        top=4,
    )
    parts = [_log_axis(frame, tops)] if is_log else []
    parts += names
    for bar, top in zip(bars, tops, strict=True):
        width = frame.x(bar.share) - LEFT if bar.share in known else 0.0
        rect = Markup('<rect class="bar" x="{}" y="{}" width="{:.1f}" height="15"/>')
        # Nothing has no bar; anything else is seen.
        parts += [rect.format(LEFT, top, max(1.0, width))] if width or not is_log else []
        parts.append(
            Markup('<text class="note" x="{:.1f}" y="{}">{}</text>').format(LEFT + width + 8, top + 12, bar.text)
        )
    return picture(frame.height, title, parts)


def _log_axis(frame: Frame, tops: Sequence[int]) -> Markup:
    low, high = frame.x_range
    powers = range(round(math.log10(low)), math.floor(math.log10(high) + 1e-9) + 1)
    # Numbers that would touch each other: each second, third, ….
    numbers = [10.0**power for power in powers][:: math.ceil(len(powers) / 6)]
    path = "".join(f"M{frame.x(number):.1f} {top - 3}v21" for top in tops for number in numbers)
    # The first number begins at the margin, which would cut it.
    number_text = Markup('<text x="{:.1f}" y="{}" text-anchor="{}">{:g}</text>')
    return Markup("").join(
        [
            Markup('<path class="grid" d="{}"/>').format(path),
            *(
                number_text.format(frame.x(number), frame.height - 26, "middle" if place else "start", number * 100)
                for place, number in enumerate(numbers)
            ),
            Markup('<text x="{}" y="{}">{}</text>').format(
                LEFT, frame.height - 6, "% on a logarithmic axis: compare the numbers, not the lengths"
            ),
        ]
    )
