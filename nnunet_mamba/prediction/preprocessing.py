"""nnU-Net's preprocessing of one image, for configurations that leave its pixels where they are.

Orders axes, cuts off the margin of zeros and normalises, with the same operations in the same order as nnU-Net's
DefaultPreprocessor, so that equal images give equal numbers. What must be resampled is nnU-Net's to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nnunet_mamba.prediction.plan import Normalization, PredictionPlan

FloatArray: TypeAlias = npt.NDArray[np.float32]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Box: TypeAlias = tuple[slice, slice, slice]

_EPS = 1e-8
# Squares of smaller values have a sum that float32 holds, whatever the size of the image.
_SURELY_NORMALISED = 1e14
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An image as the network sees it, and what leads back.

    Args:
        data: (c, z, y, x) in nnU-Net's order of axes, float32.
        shape: of the image in that order, before it was cut.
        box: of the image that ``data`` shows.
    """

    data: FloatArray
    shape: tuple[int, int, int]
    box: Box


class UnsuitableImageError(ValueError):
    """An image cannot be predicted with this model; the text does not name the image."""


def prepare(image: npt.NDArray[Any], spacing: Sequence[float], plan: PredictionPlan) -> Prepared | None:
    """Return an image as the network sees it; None if nnU-Net would resample it.

    Args:
        image: (c, z, y, x) as nnU-Net's readers give it.
        spacing: mm, (z, y, x).
        plan: of a configuration that does not need nnU-Net.

    Raises:
        UnsuitableImageError: its values make no sense to the model.
    """
    check_image(image, plan)
    # A copy: normalising works in place.
    data = image.astype(np.float32, order="C").transpose(0, *(axis + 1 for axis in plan.transpose_forward))
    shape = data.shape[1:]
    inside = _nonzero(data)
    box = _box(inside)
    planes, rows, columns = box
    data = data[:, planes, rows, columns]
    if _is_resampled(data.shape[1:], [spacing[axis] for axis in plan.transpose_forward], plan):
        return None
    mask: BoolArray | None = None
    if any(normalization.uses_mask for normalization in plan.normalizations):
        mask = _without_holes(inside)[box]
    for channel, normalization in zip(data, plan.normalizations, strict=True):
        channel[...] = _normalized(channel, normalization, mask)
    return Prepared(data=np.ascontiguousarray(data), shape=shape, box=box)


def check_image(image: npt.NDArray[Any], plan: PredictionPlan) -> None:
    """Raise if an image is not what a model can take.

    Args:
        image: (c, z, y, x).
        plan: says how many channels there are.

    Raises:
        UnsuitableImageError: it has another number of axes or channels, no pixels, or values that are no numbers or too
            large to be normalised. nnU-Net would predict of NaN or zeros, and so of nothing, without a word.
    """
    n_channels = len(plan.normalizations)
    if image.ndim != 4 or image.shape[0] != n_channels or not image.size:
        raise UnsuitableImageError(
            f"the image has the shape {image.shape}, expected {n_channels} channels of (z, y, x): "
            f"({n_channels}, z, y, x)"
        )
    if image.dtype.kind not in "biuf":
        raise UnsuitableImageError(f"the image has values of type {image.dtype}, expected numbers")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise UnsuitableImageError("the image has values that are NaN or infinite, expected numbers; replace them")
    for channel, normalization in zip(image, plan.normalizations, strict=True):
        if image.dtype.itemsize > 2:
            _refuse_large(channel, normalization)
        if normalization.scheme == "RGBTo01Normalization":
            low, high = channel.min(), channel.max()
            if low < 0 or high > 255:
                raise UnsuitableImageError(
                    f"the image has values from {low:g} to {high:g}, expected the 0 to 255 of photographs"
                )


def _refuse_large(channel: npt.NDArray[Any], normalization: Normalization) -> None:
    """Raise if values are too large for what nnU-Net computes with them in float32."""
    lowest, highest = float(channel.min()), float(channel.max())
    largest = max(-lowest, highest)
    if largest <= _SURELY_NORMALISED:
        return
    is_fine = largest <= _LARGEST
    if is_fine and normalization.scheme == "ZScoreNormalization":
        with np.errstate(over="ignore", invalid="ignore"):
            is_fine = bool(np.isfinite(channel.astype(np.float32).std()))
    elif is_fine and normalization.scheme == "RescaleTo01Normalization":
        is_fine = highest - lowest <= _LARGEST
    if not is_fine:
        raise UnsuitableImageError(
            f"the image has values from {lowest:g} to {highest:g}, too large for the float32 in which nnU-Net "
            "normalises them; rescale or clip them"
        )


def _nonzero(data: FloatArray) -> BoolArray:
    """Return where some channel is not zero, (z, y, x)."""
    inside: BoolArray = data[0] != 0
    for channel in data[1:]:
        inside |= channel != 0
    return inside


def _without_holes(inside: BoolArray) -> BoolArray:
    # In a single slice every pixel borders on the outside, so that nothing is a hole.
    if 1 in inside.shape:
        return inside
    from scipy.ndimage import binary_fill_holes

    filled: BoolArray = binary_fill_holes(inside)
    return filled


def _box(inside: BoolArray) -> Box:
    """Return the smallest box around all that is True; the whole if nothing is."""
    slices = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(inside.any(axis=others))
        slices.append(slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, inside.shape[axis]))
    return slices[0], slices[1], slices[2]


def _is_resampled(shape: Sequence[int], spacing: Sequence[float], plan: PredictionPlan) -> bool:
    """Return whether nnU-Net would bring an image to another number of pixels."""
    # Configurations of slices leave the distance between slices as it is.
    target = [spacing[0], *plan.spacing] if plan.is_2d else plan.spacing
    resampled = [round(old / new * size) for old, new, size in zip(spacing, target, shape, strict=True)]
    return resampled != list(shape)


def _normalized(channel: FloatArray, normalization: Normalization, mask: BoolArray | None) -> FloatArray:
    """Return the normalised values of one channel (z, y, x), which may be written over.

    Args:
        channel: float32.
        normalization: its scheme.
        mask: (z, y, x), where the values count for schemes that use it.
    """
    scheme = normalization.scheme
    if scheme == "ZScoreNormalization":
        return _z_scores(channel, mask if normalization.uses_mask else None)
    if scheme == "CTNormalization":
        known = normalization.intensities
        np.clip(channel, known["percentile_00_5"], known["percentile_99_5"], out=channel)
        channel -= known["mean"]
        channel /= max(known["std"], _EPS)
    elif scheme == "RescaleTo01Normalization":
        channel -= channel.min()
        channel /= np.clip(channel.max(), a_min=_EPS, a_max=None)
    elif scheme == "RGBTo01Normalization":
        channel /= 255.0
    return channel


def _z_scores(channel: FloatArray, mask: BoolArray | None) -> FloatArray:
    if mask is None:
        channel -= channel.mean()
        # As numpy's std computes it, whose own difference from the mean would be taken a second time.
        std = np.sqrt(np.square(channel).sum() / channel.size)
        channel /= max(std, _EPS)
    else:
        inside = channel[mask]
        channel[mask] = (inside - inside.mean()) / max(inside.std(), _EPS)
    return channel
