"""The marks of a scatter, and what explains them below it: colours, shapes, numbers, and what is missing."""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from nnunet_mamba.report.charts.axes import WIDTH
from nnunet_mamba.report.charts.colours import amount_colour, amount_range, is_known, log_share
from nnunet_mamba.report.charts.lettering import text_width, wrapped
from nnunet_mamba.report.charts.scatter_names import Names
from nnunet_mamba.report.charts.scatter_points import Point, drawable, left_out_text, unknown_text

_LEFT, _LINE, _SIZE = 14, 16, 12
_BAR_WIDTH, _N_CELLS = 190, 32
_MOST_TICKS = 4
_GIGA = 1e9


def mark(point: Point, *, x: float, y: float, share: float) -> Markup:
    """Return the mark of a point: a disc, hollow and dashed without an amount; a hollow diamond for a published one.

    Args:
        point: what it is.
        x: of its centre.
        y: of its centre.
        share: of its amount on the scale of colours; NaN without one.
    """
    styles = ["point"]
    if point.is_published:
        styles.append("published")
    styles.append("unknown" if math.isnan(share) else "amount")
    look = Markup('class="{}"{}').format(" ".join(styles), _colours(share))
    if point.is_published:
        return Markup('<path {} d="M{:.1f} {:.1f}l6 6l-6 6l-6 -6z"/>').format(look, x, y - 6)
    return Markup('<circle {} cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(look, x, y, 6 if math.isnan(share) else 7)


def _colours(share: float) -> Markup:
    if math.isnan(share):
        return Markup("")
    return Markup(' style="--light:{};--dark:{}"').format(amount_colour(share), amount_colour(share, is_dark=True))


def legend_below(points: Sequence[Point], names: Names, *, amount_title: str, top: int) -> tuple[Markup, int]:
    """Return what stands below the axes, and the height of the whole picture.

    Args:
        points: drawn or not.
        names: as they are written.
        amount_title: of the bar of colours.
        top: where it begins.
    """
    shown = drawable(points)
    numbers = [f"{number}  {name}" for number, name in enumerate(names.numbered.values(), 1)]
    notes = [left_out_text(points)]
    if names.n_unnamed:
        notes.append(f"{names.n_unnamed} published diamonds have no room for their names.")
    parts = []
    for part, height in (
        _colour_bar([point.amount for point in shown if is_known(point.amount)], amount_title),
        _shapes(shown),
        _text(numbers, style="name"),
        _text(filter(None, notes), style="note"),
    ):
        parts.append(Markup('<g transform="translate(0 {})">{}</g>').format(top, part) if part else part)
        top += height
    return Markup("").join(parts), top + 4


def _colour_bar(amounts: Sequence[float], title: str) -> tuple[Markup, int]:
    if not amounts:
        return Markup(""), 0
    left = _LEFT + text_width(title, _SIZE) + 6
    low, high = amount_range(amounts)
    cell = Markup('<rect class="amount" style="--light:{};--dark:{}" x="{:.1f}" y="8" width="{:.1f}" height="10"/>')
    parts = [Markup('<text x="{}" y="18">{}</text>').format(_LEFT, title)]
    for index in range(_N_CELLS):
        share = index / (_N_CELLS - 1)
        colours = amount_colour(share), amount_colour(share, is_dark=True)
        parts.append(cell.format(*colours, left + _BAR_WIDTH * index / _N_CELLS, _BAR_WIDTH / _N_CELLS + 0.5))
    tick = Markup('<line class="tick" x1="{:.1f}" x2="{:.1f}" y1="18" y2="22"/>')
    number = Markup('<text x="{:.1f}" y="34" text-anchor="middle">{:g}</text>')
    for value in amount_ticks(low / _GIGA, high / _GIGA):
        share = log_share(value * _GIGA, amounts)
        x = left + _BAR_WIDTH * share
        parts.append(tick.format(x, x) + number.format(x, value))
    return Markup("").join(parts), 42


def amount_ticks(low: float, high: float) -> list[float]:
    """Return two to four numbers for a logarithmic scale, round ones where possible; one if both ends are equal.

    Args:
        low: at its beginning, > 0.
        high: at its end.
    """
    if high <= low * (1 + 1e-9):
        return [float(f"{low:.3g}")]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        steps = [float(f"{factor}e{power}") for power in powers for factor in factors]
        within = [step for step in steps if low <= step <= high]
        if len(within) < 2:
            break
        if len(within) <= _MOST_TICKS:
            return within
    else:
        # Many powers of ten: each second, third, ….
        return within[:: math.ceil(len(within) / _MOST_TICKS)]
    # Too near to each other for round numbers.
    return [float(f"{low:.3g}"), float(f"{high:.3g}")]


def _shapes(shown: Sequence[Point]) -> tuple[Markup, int]:
    """Return which marks were measured here, which are published, and which have no colour."""
    entries = []
    has_published = any(point.is_published for point in shown)
    if has_published and not all(point.is_published for point in shown):
        entries += [(False, 0.0, "measured here"), (True, 0.0, "published")]
    if text := unknown_text(shown):
        entries.append((text.endswith("published"), math.nan, text))
    x, parts = float(_LEFT), []
    for is_published, share, text in entries:
        kind = Point(name=text, x=1, y=0, is_published=is_published)
        parts.append(mark(kind, x=x + 7, y=12, share=share))
        parts.append(Markup('<text x="{:.1f}" y="16">{}</text>').format(x + 20, text))
        x += 20 + text_width(text, _SIZE) + 22
    return Markup("").join(parts), 24 if entries else 0


def _text(texts: Iterable[str], *, style: str) -> tuple[Markup, int]:
    lines = [line for text in texts for line in wrapped(text, width=WIDTH - 2 * _LEFT, size=_SIZE)]
    parts = (
        Markup('<text class="{}" x="{}" y="{}">{}</text>').format(style, _LEFT, 14 + _LINE * row, line)
        for row, line in enumerate(lines)
    )
    return Markup("").join(parts), _LINE * len(lines) + 6 if lines else 0
