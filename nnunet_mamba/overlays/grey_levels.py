"""Grey levels for the screen, from intensities of any type and range."""

from typing import Any

import numpy as np
import numpy.typing as npt

Window = tuple[float, float]

# Hounsfield units, as abdominal CT is usually shown.
SOFT_TISSUE: Window = (-160.0, 240.0)

# Percentiles, so that a few bright voxels, such as vessels or metal, do not darken all others.
_DARKEST, _BRIGHTEST = 0.5, 99.5
_MOST_SAMPLES = 2**20


def find_window(intensities: npt.NDArray[Any]) -> Window:
    """Return the intensities to show as black and as white: all that 8 bits can hold, or nearly all that there are.

    Args:
        intensities: of an image or a volume, any shape; NaN and infinity do not count.
    """
    if intensities.dtype == np.uint8:
        return 0.0, 255.0
    samples = intensities.ravel()[:: max(1, intensities.size // _MOST_SAMPLES)].astype(np.float64)
    samples = samples[np.isfinite(samples)]
    if not samples.size:
        return 0.0, 1.0
    low, high = np.percentile(samples, (_DARKEST, _BRIGHTEST))
    # A small bright object in a dark image is all that there is to see.
    return (float(low), float(high)) if high > low else (float(samples.min()), float(samples.max()))


def grey_levels(intensities: npt.NDArray[Any], window: Window) -> npt.NDArray[np.uint8]:
    """Return intensities as grey levels.

    Args:
        intensities: (y, x).
        window: the intensities that become 0 and 255.

    Returns:
        (y, x); what is NaN is black.
    """
    low, high = window
    levels = (intensities.astype(np.float64) - low) * (255.0 / (high - low) if high > low else 0.0)
    shown: npt.NDArray[np.uint8] = np.nan_to_num(levels).clip(0.0, 255.0).round().astype(np.uint8)
    return shown
