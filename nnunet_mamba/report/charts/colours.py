"""Colours of charts for light and dark pages, which people with any kind of colour vision tell apart.

Each has a contrast of 3:1 or more with the card that it lies on (WCAG 2.2, 1.4.11).
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

# On white and on dark cards, by the places of the models. Begun from Okabe and Ito (2008, "Color universal design").
LIGHT = ("#0072b2", "#d55e00", "#007a5a", "#732266", "#5e4a00", "#17181a")
DARK = ("#56b4e9", "#ff9e4a", "#3fce9e", "#c85aa8", "#f0e442", "#f2f7ff")
# Of lines, where there are more models than colours.
DASHES = ("none", "7 3", "2 3")
# Of lines on paper, where colours may be grey: as many as there are colours.
PRINTED_DASHES = ("none", "9 3", "2 2", "9 3 2 3", "4 3", "9 2 2 2 2 2")
# Stations of matplotlib's plasma (Smith and van der Walt 2015), which grows equally for all: the part that is seen on
# white, and the part that is seen on dark cards.
_LIGHT_SCALE = ((13, 8, 135), (73, 3, 160), (122, 2, 168), (165, 31, 153), (198, 65, 125), (225, 100, 98))
_DARK_SCALE = ((193, 59, 130), (218, 91, 105), (239, 126, 80), (251, 159, 58), (253, 202, 38), (240, 249, 33))


def model_colour(place: int) -> str:
    """Return the colour of a model on white, by its place; colours come again after the last."""
    return LIGHT[place % len(LIGHT)]


def model_dash(place: int) -> str:
    """Return the dashes of a model's line, which tell models of one colour apart."""
    return DASHES[place // len(LIGHT) % len(DASHES)]


def place_of_style(style: str) -> int:
    """Return the place of a model from its class, "model-3"."""
    return int(style.removeprefix("model-"))


def printed_dash(place: int) -> str:
    """Return the dashes of a model's line on paper, which tell as many models apart as there are colours."""
    return PRINTED_DASHES[place] if place < len(PRINTED_DASHES) else model_dash(place)


def model_styles(n_models: int) -> str:
    """Return the style sheet of the classes ``model-0``, ``model-1``, …: their colours and dashes as properties.

    Args:
        n_models: how many classes.
    """
    light, dark, printed = [], [], []
    for place in range(n_models):
        light.append(f".model-{place} {{ --model: {model_colour(place)}; --dash: {model_dash(place)}; }}")
        light += _legend_dashes(place, model_dash(place))
        dark.append(f".model-{place} {{ --model: {DARK[place % len(DARK)]}; }}")
        printed.append(f".model-{place} {{ --dash: {printed_dash(place)}; }}")
        printed += _legend_dashes(place, printed_dash(place))
    dark_scheme = ["@media screen and (prefers-color-scheme: dark) {", *dark, "}"]
    return "\n".join([*light, *dark_scheme, "@media print {", *printed, "}"])


def _legend_dashes(place: int, dash: str) -> list[str]:
    """Return the rule for a legend's piece of a line, none for a whole line."""
    if dash == "none":
        return []
    ends = list(accumulate(map(int, dash.split())))
    stops = ", ".join(
        f"{'transparent' if number % 2 else 'var(--model)'} {start}px {end}px"
        for number, (start, end) in enumerate(pairwise([0, *ends]))
    )
    return [f".legend i.model-{place} {{ background: repeating-linear-gradient(to right, {stops}); }}"]


def amount_colour(share: float, *, is_dark: bool = False) -> str:
    """Return the colour of an amount.

    Args:
        share: 0 for the least, 1 for the most.
        is_dark: whether it lies on a dark card.
    """
    scale = _DARK_SCALE if is_dark else _LIGHT_SCALE
    place = min(max(share, 0.0), 1.0) * (len(scale) - 1)
    below = min(int(place), len(scale) - 2)
    mixed = (round(a + (b - a) * (place - below)) for a, b in zip(scale[below], scale[below + 1], strict=True))
    return f"#{''.join(f'{part:02x}' for part in mixed)}"


def is_known(amount: float) -> bool:
    """Return whether an amount has a place on a logarithmic scale."""
    return math.isfinite(amount) and amount > 0


def log_share(value: float, values: Sequence[float]) -> float:
    """Return where a value lies on the scale of all, which is logarithmic; NaN if it is unknown."""
    if not is_known(value) or not any(is_known(each) for each in values):
        return math.nan
    low, high = map(math.log10, amount_range(values))
    return (math.log10(value) - low) / (high - low)


def amount_range(values: Sequence[float]) -> tuple[float, float]:
    """Return where the scale of amounts begins and ends: a power of ten at least, so that like ones look alike.

    Args:
        values: some of them known.
    """
    known = [math.log10(each) for each in values if is_known(each)]
    middle, half = (max(known) + min(known)) / 2, max((max(known) - min(known)) / 2, 0.5)
    return 10 ** (middle - half), 10 ** (middle + half)
