"""From logits to label maps and probabilities on the grid of the image, as nnU-Net makes them."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nnunet_mamba.prediction.plan import Heads, PredictionPlan
from nnunet_mamba.prediction.preprocessing import FloatArray, Prepared

LabelMap: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def label_map_of(logits: Tensor, heads: Heads) -> LabelMap:
    """Return the label of every pixel.

    Args:
        logits: (heads, *spatial), float16.
        heads: what they mean.

    Returns:
        (*spatial), uint8, or uint16 where there are 255 labels or more.
    """
    dtype = np.uint8 if heads.n_foreground < 255 else np.uint16
    if not heads.region_values:
        return _largest(logits, dtype)
    # nnU-Net's own comparison: sigmoid in float32, whose smallest steps around a half are wider than those of logits.
    is_inside = (torch.sigmoid(logits.float()) > 0.5).numpy()
    found: npt.NDArray[Any] = np.zeros(logits.shape[1:], dtype=dtype)
    for region, value in zip(is_inside, heads.region_values, strict=True):
        found[region] = value
    return found


def _largest(logits: Tensor, dtype: type[np.uint8] | type[np.uint16]) -> LabelMap:
    """Return the index of the largest of every pixel's logits, the first of equal ones."""
    if len(logits) == 2:
        second: npt.NDArray[Any] = (logits[1] > logits[0]).numpy().astype(dtype)
        return second
    # In float32, whose comparisons are vectorised; numpy's argmax takes the first of equals, torch's need not.
    found: npt.NDArray[Any] = logits.float().numpy().argmax(axis=0).astype(dtype)
    return found


def probabilities_of(logits: Tensor, heads: Heads) -> FloatArray:
    """Return the probability of every label, or of every region, in every pixel.

    Args:
        logits: (heads, *spatial), float16.
        heads: what they mean.

    Returns:
        (heads, *spatial), float32.
    """
    logits = logits.float()
    found: FloatArray = (torch.sigmoid(logits) if heads.region_values else torch.softmax(logits, 0)).numpy()
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
