"""The frame of a chart: its size, what its axes span, grid lines and ticks."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nnunet_mamba.report.charts.lettering import in_two_lines, shortened

WIDTH = 520
# Margin of a chart whose names stand above its rows, and how wide they may be: what a telephone shows at once.
LEFT, _NAME_WIDTH = 14, 300
_NAME_SIZE, _NAME_LINE, _LONGEST_NAME = 12, 15, 74


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Where numbers are drawn, in units of the picture.

    Args:
        height: of the whole picture, which is ``WIDTH`` wide.
        x_range: numbers at the left and right end.
        y_range: numbers at the lower and upper end.
        is_log: whether the horizontal axis is logarithmic.
        left: margin.
        right: margin.
        top: margin.
        bottom: margin.
    """

    height: int
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    is_log: bool = False
    left: int = 50
    right: int = 14
    top: int = 12
    bottom: int = 42

    def x(self, value: float) -> float:
        """Return the place of a number on the horizontal axis."""
        low, high, value = (math.log10(each) if self.is_log else each for each in (*self.x_range, value))
        return self.left + (WIDTH - self.left - self.right) * (value - low) / ((high - low) or 1)

    def y(self, value: float) -> float:
        """Return the place of a number on the vertical axis."""
        low, high = self.y_range
        return self.height - self.bottom - (self.height - self.top - self.bottom) * (value - low) / ((high - low) or 1)

    def horizontal_lines(self, numbers: Iterable[float]) -> Markup:
        """Return grid lines with their numbers on the left."""
        line = Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>')
        text = Markup('<text x="{}" y="{:.1f}" text-anchor="end" dy="0.35em">{}</text>')
        return Markup("").join(
            line.format(self.left, WIDTH - self.right, self.y(number), self.y(number))
            + text.format(self.left - 7, self.y(number), f"{number:g}")
            for number in numbers
        )

    def vertical_lines(self, numbers: Sequence[float], *, has_lines: bool = True, scale: float = 1.0) -> Markup:
        """Return the numbers below the horizontal axis, multiplied with a scale, with grid lines."""
        bottom = self.height - self.bottom
        line = Markup('<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>')
        text = Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>')
        return Markup("").join(
            (line.format(self.x(number), self.x(number), self.top, bottom) if has_lines else Markup(""))
            + text.format(self.x(number), bottom + 16, f"{number * scale:g}")
            for number in numbers
        )

    def x_title(self, text: str) -> Markup:
        """Return the title of the horizontal axis, at its right end."""
        return Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
            WIDTH - self.right, self.height - 6, text
        )


def picture(height: int, title: str, parts: Iterable[Markup]) -> Markup:
    """Return the ``<svg>`` of a chart.

    Args:
        height: of the picture.
        title: read aloud by screen readers.
        parts: what is drawn.
    """
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, height, title)
    return Markup("").join([head, *parts, Markup("</svg>")])


def name_above(name: str, top: float, *, style: str = "name") -> tuple[Markup, int]:
    """Return the name of a row, in two lines if it is long, and their height.

    Args:
        name: of any length; one that is very long loses its middle.
        top: of the first line.
        style: its classes.
    """
    text = Markup('<text class="{}" x="{}" y="{:.0f}">{}</text>')
    lines = in_two_lines(shortened(name, _LONGEST_NAME), width=_NAME_WIDTH, size=_NAME_SIZE)
    drawn = (text.format(style, LEFT, top + 13 + _NAME_LINE * row, line) for row, line in enumerate(lines))
    return Markup("").join(drawn), _NAME_LINE * len(lines)


def ticks(low: float, high: float, *, n: int = 5) -> list[float]:
    """Return about ``n`` round numbers within [low, high]."""
    if not high > low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / n))
    step *= min((1, 2, 5, 10), key=lambda factor: abs((high - low) / (factor * step) - n))
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 10) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return the powers of ten within [low, high], and their doubles and quintuples where the former are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    tens = [10.0**power for power in powers if low <= 10.0**power <= high]
    if len(tens) > 2:
        return tens
    steps = (factor * 10.0**power for power in powers for factor in (1, 2, 5))
    return [float(f"{step:.6g}") for step in steps if low <= step <= high] or [low]
