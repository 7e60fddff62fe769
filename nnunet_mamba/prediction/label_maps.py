"""From logits to label maps and probabilities on the grid of the image, as nnU-Net makes them."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nnunet_mamba.onnx_models import agreement
from nnunet_mamba.prediction.plan import Heads, PredictionPlan
from nnunet_mamba.prediction.preprocessing import FloatArray, Prepared

LabelMap: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Logits: TypeAlias = npt.NDArray[np.float16]

# The bits of half-precision numbers but the sign's, and those of infinity.
_WITHOUT_SIGN, _BITS_OF_INFINITY = 0x7FFF, 0x7C00
# The largest number, in bits, whose sigmoid in float32 is a half: 2 ** -24.
_BITS_OF_LARGEST_OUTSIDE = 1


def are_finite(logits: Logits) -> bool:
    """Return whether half-precision numbers are neither NaN nor infinite, in a tenth of the time of np.isfinite."""
    # Without the sign, bits of numbers are ordered as the numbers; infinity comes after all, and NaN after it.
    return int((logits.view(np.int16) & _WITHOUT_SIGN).max()) < _BITS_OF_INFINITY


def label_map_of(logits: Logits, heads: Heads) -> LabelMap:
    """Return the label of every pixel.

    Args:
        logits: (heads, *spatial), finite.
        heads: what they mean.

    Returns:
        (*spatial), uint8, or uint16 where there are 255 labels or more.
    """
    dtype = np.uint8 if heads.n_foreground < 255 else np.uint16
    if not heads.region_values:
        return _largest(logits, dtype)
    # nnU-Net's own comparison is that of a sigmoid in float32 with a half, whose smallest steps there are wider than
    # those of logits. As whole numbers, bits of positive numbers are ordered as these, and those of others below 1.
    is_inside = logits.view(np.int16) > _BITS_OF_LARGEST_OUTSIDE
    found: npt.NDArray[Any] = np.zeros(logits.shape[1:], dtype=dtype)
    for region, value in zip(is_inside, heads.region_values, strict=True):
        found[region] = value
    return found


def _largest(logits: Logits, dtype: type[np.uint8] | type[np.uint16]) -> LabelMap:
    """Return the index of the largest of every pixel's logits, the first of equal ones."""
    ordered = _ordered(logits)
    if len(ordered) == 2:
        second: npt.NDArray[Any] = (ordered[1] > ordered[0]).astype(dtype)
        return second
    found: npt.NDArray[Any] = ordered.argmax(axis=0).astype(dtype)
    return found


def _ordered(logits: Logits) -> npt.NDArray[np.int16]:
    """Return whole numbers that compare as finite half-precision numbers do, for which processors have no operation."""
    bits = logits.view(np.int16)
    # All bits of a negative number's sign are ones, with which exclusive or and subtraction negate the rest.
    sign = bits >> 15
    return ((bits & _WITHOUT_SIGN) ^ sign) - sign


def probabilities_of(logits: Logits, heads: Heads) -> FloatArray:
    """Return the probability of every label, or of every region, in every pixel.

    Args:
        logits: (heads, *spatial).
        heads: what they mean.

    Returns:
        (heads, *spatial), float32.
    """
    batch = logits[None].astype(np.float32)
    found: FloatArray = agreement.probabilities_of(batch, has_regions=bool(heads.region_values))[0]
    return found


def label_map_back(label: LabelMap, prepared: Prepared, plan: PredictionPlan) -> LabelMap:
    """Return a label map on the whole image, in the image's own order of axes.

    Args:
        label: of what the network saw, (z, y, x) in nnU-Net's order of axes.
        prepared: what the network saw.
        plan: that it was prepared by.
    """
    whole: npt.NDArray[Any] = np.zeros(prepared.shape, dtype=label.dtype)
    whole[prepared.box] = label
    return np.ascontiguousarray(whole.transpose(plan.transpose_backward))


def probabilities_back(probabilities: FloatArray, prepared: Prepared, plan: PredictionPlan) -> FloatArray:
    """Return probabilities on the whole image, in the image's own order of axes; what was cut off is background.

    Args:
        probabilities: of what the network saw, (heads, z, y, x) in nnU-Net's order of axes.
        prepared: what the network saw.
        plan: that it was prepared by.
    """
    whole = np.zeros((len(probabilities), *prepared.shape), dtype=np.float32)
    if not plan.heads.region_values:
        whole[0] = 1
    planes, rows, columns = prepared.box
    whole[:, planes, rows, columns] = probabilities
    return np.ascontiguousarray(whole.transpose(0, *(axis + 1 for axis in plan.transpose_backward)))
