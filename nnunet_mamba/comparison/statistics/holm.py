"""Holm's correction of several p-values (Holm 1979, www.jstor.org/stable/4615733)."""

import math
from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values as they count beside each other.

    The smallest of n counts n times, the next n - 1 times, and the largest once.
    No corrected value is smaller than that of a smaller p-value, and none is larger than 1.

    Args:
        p_values: of all tests that are shown together; NaN is no test, and stays.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    corrected = list(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[place] = largest
    return corrected
