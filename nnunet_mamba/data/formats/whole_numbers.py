"""Whole numbers in label maps, which scale factors, registration and floating-point formats miss by a little."""

from typing import Any

import numpy as np
import numpy.typing as npt

# Far more than rounding leaves behind, far less than interpolation does.
TOLERANCE = 1e-3
# Keeps 0.999 out, however it is rounded.
_ROUNDING = 1e-9
# What to do about a mask with NaN or infinity.
UNDEFINED = "NaN and infinity are no labels, replace them by the number of one"


def near_whole_numbers(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], int]:
    """Return values with those near a whole number replaced by it.

    Args:
        values: any shape and type of number; NaN, infinity and what is farther off stay as they are.

    Returns:
        Values of the same shape and type, and how many were replaced.
    """
    if values.dtype.kind != "f":
        return values, 0
    whole = np.rint(values)
    with np.errstate(invalid="ignore"):
        is_missed = (values != whole) & (np.abs(values - whole) < TOLERANCE - _ROUNDING)
    n_missed = int(np.count_nonzero(is_missed))
    return (np.where(is_missed, whole, values), n_missed) if n_missed else (values, 0)


def shown_number(value: Any) -> str:
    """Return a number with all digits that tell it from others of its type; without a point if it is whole.

    Args:
        value: one number of an array.
    """
    text = str(value)
    return text.removesuffix(".0")


def undefined_text(values: npt.NDArray[Any], unit: str = "voxels") -> str:
    """Return what is wrong with a mask that holds NaN or infinity, "" if it does not.

    Args:
        values: any shape and type of number.
        unit: what a position is called.
    """
    if values.dtype.kind != "f":
        return ""
    n_nan, n_infinite = int(np.count_nonzero(np.isnan(values))), int(np.count_nonzero(np.isinf(values)))
    if not n_nan and not n_infinite:
        return ""
    counted = ((n_nan, "NaN"), (n_infinite, "infinite"))
    found = " and ".join(f"{count} {unit} of the mask are {name}" for count, name in counted if count)
    return f"{found}, expected numbers; {UNDEFINED}"
