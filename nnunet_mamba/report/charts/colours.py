"""Colours of charts, which people with any kind of colour vision tell apart, and the scale for amounts."""

import math
from collections.abc import Sequence

# Of Okabe and Ito (2008, "Color universal design"), without the yellow that white paper swallows.
MODEL_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#6b6b6b")
# Stations of matplotlib's cividis (Nuñez et al. 2018), which grows equally for all.
_SCALE = ((0, 34, 78), (59, 73, 108), (112, 113, 115), (165, 156, 116), (217, 202, 88), (254, 232, 56))
UNKNOWN = "#9a9a9a"


def model_colour(place: int) -> str:
    """Return the colour of a model, by its place; colours come again after the last."""
    return MODEL_COLOURS[place % len(MODEL_COLOURS)]


def amount_colour(share: float) -> str:
    """Return the colour of an amount.

    Args:
        share: 0 for the least, 1 for the most; NaN is grey.
    """
    if math.isnan(share):
        return UNKNOWN
    place = min(max(share, 0.0), 1.0) * (len(_SCALE) - 1)
    below = min(int(place), len(_SCALE) - 2)
    mixed = (round(a + (b - a) * (place - below)) for a, b in zip(_SCALE[below], _SCALE[below + 1], strict=True))
    return f"#{''.join(f'{part:02x}' for part in mixed)}"


def log_share(value: float, values: Sequence[float]) -> float:
    """Return where a value lies between the least and the most of all, on a logarithmic scale; NaN if it is unknown."""
    known = [math.log10(each) for each in values if each > 0]
    if not known or not value > 0:
        return math.nan
    low, high = min(known), max(known)
    return 0.5 if high == low else (math.log10(value) - low) / (high - low)
