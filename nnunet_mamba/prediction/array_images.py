"""Arrays that callers hand over, as the channels that nnU-Net would read, and the way back to their own size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nnunet_mamba.data.formats.image_files import Shape, resized_image, resized_mask
from nnunet_mamba.data.unlabelled.image_reading import PICTURE_SPACING
from nnunet_mamba.prediction.label_maps import LabelMap
from nnunet_mamba.prediction.plan import PredictionPlan
from nnunet_mamba.prediction.preprocessing import FloatArray, UnsuitableImageError

_COLOURS = 3


@dataclass(frozen=True, kw_only=True)
class ArrayImage:
    """An image in memory.

    Args:
        array: (h, w, 3) uint8 of a photograph, or (c, z, y, x).
        size: (y, x) to which photographs are resized; None keeps their own.
        spacing: mm, (z, y, x).
        number: its place among the images of a call.
    """

    array: npt.NDArray[Any]
    size: Shape | None
    spacing: tuple[float, ...]
    number: int

    @property
    def is_photograph(self) -> bool:
        """Whether it is a photograph, rather than channels."""
        return self.array.ndim == 3

    def channels(self) -> npt.NDArray[Any]:
        """Return what nnU-Net would read: (c, z, y, x)."""
        if not self.is_photograph:
            return self.array
        pixels = resized_image(Image.fromarray(self.array), self.size)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))[:, None]

    def back(self, label: LabelMap, probabilities: FloatArray | None) -> tuple[LabelMap, FloatArray]:
        """Return a label map and probabilities, (n, …), of the image's own size; no probabilities are an empty array.

        Args:
            label: (z, y, x).
            probabilities: (n, z, y, x); None if they are not wanted.
        """
        nothing = np.empty(0, dtype=np.float32)
        if not self.is_photograph:
            return label, nothing if probabilities is None else probabilities
        height, width, _ = self.array.shape
        mask = resized_mask(label[0], (height, width))
        if probabilities is None:
            return mask, nothing
        resized = [
            np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR))
            for plane in probabilities[:, 0]
        ]
        return mask, np.stack(resized)


def image_of_array(
    array: npt.NDArray[Any],
    plan: PredictionPlan,
    *,
    size: Shape | None,
    spacing: Sequence[float] | None = None,
    number: int = 0,
) -> ArrayImage:
    """Return an image of an array whose axes make sense to a model.

    Args:
        array: see ``ArrayImage``.
        plan: of the model.
        size: (y, x) to which the model's training images were resized; None if they were not.
        spacing: mm, (z, y, x), of channels; None takes the plan's.
        number: its place among the images of a call.

    Raises:
        UnsuitableImageError: its axes or values are others than the model's; tells its number.
    """
    if not isinstance(array, np.ndarray):
        raise UnsuitableImageError(f"image {number}: a {type(array).__name__}, expected a numpy array")
    n_channels = len(plan.normalizations)
    where = f"image {number}: "
    if array.ndim == 3 and array.shape[2] == _COLOURS == n_channels and plan.is_2d:
        if array.dtype != np.uint8:
            raise UnsuitableImageError(f"{where}a photograph with values of {array.dtype}, expected uint8, 0 to 255")
        if not array.size:
            raise UnsuitableImageError(f"{where}a photograph of the shape {array.shape}, expected pixels")
        return ArrayImage(array=array, size=size, spacing=PICTURE_SPACING, number=number)
    is_batch = array.ndim == 4 and array.dtype == np.uint8 and array.shape[3] == _COLOURS and array.shape[1] > _COLOURS
    if is_batch and n_channels == _COLOURS and plan.is_2d:
        raise UnsuitableImageError(
            f"{where}an array of the shape {array.shape}, which looks like {array.shape[0]} photographs; give a "
            "list of them, [*array]"
        )
    if array.ndim != 4 or array.shape[0] != n_channels:
        photograph = "a photograph (h, w, 3), or " if n_channels == _COLOURS and plan.is_2d else ""
        raise UnsuitableImageError(
            f"{where}an array of the shape {array.shape}, expected {photograph}channels ({n_channels}, z, y, x)"
        )
    if spacing is None:
        return ArrayImage(array=array, size=None, spacing=_own_spacing(plan), number=number)
    lengths = np.asarray(spacing)
    is_sensible = lengths.shape == (3,) and lengths.dtype.kind in "iuf" and np.isfinite(lengths).all()
    if not is_sensible or lengths.min() <= 0:
        raise UnsuitableImageError(f"{where}a spacing of {spacing!r}, expected three lengths above 0 mm, (z, y, x)")
    return ArrayImage(array=array, size=None, spacing=tuple(map(float, lengths)), number=number)


def _own_spacing(plan: PredictionPlan) -> tuple[float, ...]:
    """Return the spacing, (z, y, x), at which nnU-Net would not resample."""
    ordered = (PICTURE_SPACING[0], *plan.spacing) if plan.is_2d else plan.spacing
    return tuple(ordered[axis] for axis in plan.transpose_backward)
