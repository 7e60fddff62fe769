"""Shares as horizontal bars, each with its name above and its number at the end."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nnunet_mamba.report.charts.axes import WIDTH, picture, shortened

_ROW, _LEFT, _LONGEST_NAME = 44, 14, 62
# What the number behind the longest bar takes.
_RIGHT = 215


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


def bar_chart(bars: Sequence[Bar], *, title: str) -> Markup:
    """Draw bars, of which the longest takes the whole width.

    Args:
        bars: from top to bottom.
        title: read aloud by screen readers.

    Returns:
        The ``<svg>`` element; empty without bars.
    """
    if not bars:
        return Markup("")
    largest = max(bar.share for bar in bars) or 1.0
    parts = []
    for place, bar in enumerate(bars):
        top, width = 4 + _ROW * place, (WIDTH - _LEFT - _RIGHT) * bar.share / largest
        name = Markup('<text class="name" x="{}" y="{}">{}</text>')
        parts.append(name.format(_LEFT, top + 13, shortened(bar.name, _LONGEST_NAME)))
        rect = Markup('<rect class="bar" x="{}" y="{}" width="{:.1f}" height="15"/>')
        parts.append(rect.format(_LEFT, top + 20, max(1.0, width)))
        text = Markup('<text x="{:.1f}" y="{}">{}</text>')
        parts.append(text.format(_LEFT + width + 8, top + 32, bar.text))
    return picture(_ROW * len(bars) + 8, title, parts)
