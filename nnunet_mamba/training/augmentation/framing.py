"""How nnU-Net's ``SpatialTransform`` is told where an image lies in the training patch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform

from nnunet_mamba.training.augmentation.choices import Framing

_BEYOND_THE_EDGE = "reflection"


def reframe(transform: SpatialTransform, framing: Framing) -> None:
    """Let a ``SpatialTransform`` of nnU-Net's rotate, zoom and shift as a framing says; its angles stay.

    Args:
        transform: is changed.
        framing: with ``reflects`` or ``shift`` it expects images of the patch's own size, without nnU-Net's margin.
    """
    transform.p_rotation = framing.p_rotation
    transform.p_scaling = framing.p_zoom
    if framing.p_zoom:
        transform.scaling = FactorPerAxis(framing)
        transform.p_synchronize_scaling_across_axes = 0
    if framing.shift:
        transform.random_crop = True
        transform.patch_center_dist_from_border = [side * (0.5 - framing.shift) for side in transform.patch_size]
    if framing.reflects:
        transform.padding_mode_image = transform.border_mode_seg = _BEYOND_THE_EDGE


@dataclass
class FactorPerAxis:
    """Draws what ``SpatialTransform`` multiplies the patch's axes with, first axis first: the inverse of a zoom.

    Args:
        framing: with the ranges of zoom and aspect.
    """

    framing: Framing
    _zoom: float = field(default=1.0, init=False)

    def __call__(self, image: Any, dim: int) -> float:
        """Return the factor of an axis of one image; all axes share the zoom that is drawn with the first."""
        if dim == 0:
            smallest, largest = map(math.log, self.framing.zoom)
            self._zoom = math.exp(np.random.uniform(smallest, largest))
        stretch = math.log(self.framing.aspect) / 2
        return math.exp(np.random.uniform(-stretch, stretch)) / self._zoom


@dataclass(frozen=True)
class ShareOfFrame:
    """Draws a length in pixels from shares of an axis, for transforms that take pixels.

    Args:
        shares: smallest and largest.
    """

    shares: tuple[float, float]

    def __call__(self, shape: Sequence[int], dim: int) -> float:
        """Return a length along an axis of an image whose spatial shape this is."""
        return float(np.random.uniform(*self.shares) * shape[dim])
