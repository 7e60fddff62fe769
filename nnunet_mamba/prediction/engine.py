"""From images to label maps with a trained model that stays in memory: prepare, run together, bring back.

What runs the networks is exchangeable: torch (``torch_engine``), or onnxruntime (``onnx_engine``).
"""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from nnunet_mamba.prediction.label_maps import (
    LabelMap,
    Logits,
    label_map_back,
    label_map_of,
    probabilities_back,
    probabilities_of,
)
from nnunet_mamba.prediction.plan import PredictionPlan
from nnunet_mamba.prediction.postprocessing import postprocess
from nnunet_mamba.prediction.preprocessing import FloatArray, Prepared, check_image, prepare

NOT_FINITE = "the network's output is not finite; are the weights damaged?"
# Our own way back, or nnU-Net's properties of an image.
WayBack: TypeAlias = Prepared | Mapping[str, Any]


class NonFiniteLogitsError(ValueError):
    """A network's output is not finite; the text does not name the image."""


class SliceNetworks(Protocol):
    """The networks of a model that sees slices, one for each fold."""

    @property
    def slices_at_once(self) -> int:
        """How many slices of one window fill a pass."""

    def logits(self, slices: FloatArray) -> Logits:
        """Return the logits of slices of one size, averaged over the networks: (k, heads, y, x).

        Args:
            slices: (k, c, y, x), a window large at least.

        Raises:
            NonFiniteLogitsError: the networks' outputs are NaN or infinite.
            MemoryError: not even a single window fits into the memory.
        """


class NnunetFunctions(Protocol):
    """What only nnU-Net's own functions can do: resampling, and networks that see volumes."""

    def prepare(self, image: npt.NDArray[Any], spacing: Sequence[float]) -> tuple[FloatArray, dict[str, Any]]:
        """Return an image (c, z, y, x) as the network sees it, and what leads back."""

    def logits_of_volume(self, data: FloatArray) -> Logits:
        """Return the logits of a prepared volume (c, z, y, x), averaged over the networks: (heads, z, y, x).

        Raises:
            NonFiniteLogitsError: the networks' outputs are NaN or infinite.
            MemoryError: not even a single window fits into the memory.
        """

    def finish(
        self, logits: Logits, properties: Mapping[str, Any], *, with_probabilities: bool
    ) -> tuple[LabelMap, FloatArray | None]:
        """Return the label map (z, y, x), and the probabilities (heads, z, y, x) if they are wanted."""


@dataclass(frozen=True, kw_only=True)
class PreparedImage:
    """An image that waits for the network.

    Args:
        slices: (z, c, y, x), a window large at least; for a network that sees volumes, (c, z, y, x).
        inside: where the image is in the logits of its slices.
        way_back: to the image's own grid.
    """

    slices: FloatArray
    inside: tuple[slice, ...]
    way_back: WayBack


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """What the network said of an image, on its own grid.

    Args:
        way_back: of the image that it saw.
        logits: (heads, z, y, x); None where the label map is all that is wanted.
        label: (z, y, x); None where nnU-Net makes it of the logits.
    """

    way_back: WayBack
    logits: Logits | None
    label: LabelMap | None


class Engine:
    """A trained model in memory.

    Images may be prepared and brought back in any threads; the networks run in one at a time.

    Args:
        plan: what the plans say.
        networks: that see slices; None for a model that sees volumes.
        nnunet: makes nnU-Net's functions for this model, once an image or the plan needs them. It raises a ValueError
            where there are none.
        postprocessing: what is done to label maps, see ``postprocessing.postprocess``.
        leaves_cores_idle: tells now whether other threads would not slow a pass down.
    """

    def __init__(
        self,
        plan: PredictionPlan,
        networks: SliceNetworks | None,
        *,
        nnunet: Callable[[], NnunetFunctions],
        postprocessing: Sequence[str] = (),
        leaves_cores_idle: Callable[[], bool] = lambda: False,
    ) -> None:
        self.plan = plan
        self._networks = networks
        self._make_nnunet = nnunet
        self._postprocessing = postprocessing
        self._leaves_cores_idle = leaves_cores_idle
        self._one_at_a_time = threading.Lock()
        if plan.needs_nnunet:
            # Now, so that plans which make no sense are told before an image is read.
            assert self._nnunet is not None

    @cached_property
    def _nnunet(self) -> NnunetFunctions:
        return self._make_nnunet()

    @property
    def slices_at_once(self) -> int:
        """How many slices fill a pass; 1 for networks that see volumes."""
        return 1 if self._networks is None else self._networks.slices_at_once

    @property
    def leaves_cores_idle(self) -> bool:
        """Whether other threads would not slow a pass down: it runs on a GPU, or on a few of many processor cores."""
        return self._leaves_cores_idle()

    def prepare(self, image: npt.NDArray[Any], spacing: Sequence[float]) -> PreparedImage:
        """Return an image as the network sees it.

        Args:
            image: (c, z, y, x) as nnU-Net's readers give it.
            spacing: mm, (z, y, x).

        Raises:
            UnsuitableImageError: the model cannot take it.
        """
        ours = None if self.plan.needs_nnunet else prepare(image, spacing, self.plan)
        if ours is not None:
            return self._sliced(ours.data, ours)
        check_image(image, self.plan)
        data, properties = self._nnunet.prepare(image, spacing)
        if self.plan.is_2d:
            return self._sliced(data, properties)
        return PreparedImage(slices=data, inside=(), way_back=properties)

    def _sliced(self, data: FloatArray, way_back: WayBack) -> PreparedImage:
        slices, inside = padded(data.swapaxes(0, 1), self.plan.patch_size)
        return PreparedImage(slices=slices, inside=(slice(None), slice(None), *inside), way_back=way_back)

    def has_room(self, group: Sequence[PreparedImage], image: PreparedImage) -> bool:
        """Return whether an image may share the passes of others.

        Args:
            group: at least one image.
            image: the next one.
        """
        if not self.plan.is_2d or group[0].slices.shape[1:] != image.slices.shape[1:]:
            return False
        n_pixels = sum(math.prod((len(member.slices), *member.slices.shape[2:])) for member in (*group, image))
        return n_pixels <= self.slices_at_once * math.prod(self.plan.patch_size)

    def segment(self, images: Sequence[PreparedImage], *, with_probabilities: bool) -> list[Segmented]:
        """Return what the networks say of images.

        Args:
            images: of the same size, see ``has_room``; of networks that see volumes, any.
            with_probabilities: whether logits are kept for them.

        Raises:
            NonFiniteLogitsError: the networks' outputs are NaN or infinite.
            MemoryError: not even a single window fits into the memory.
        """
        with self._one_at_a_time:
            if self._networks is None:
                return [
                    Segmented(way_back=image.way_back, logits=self._nnunet.logits_of_volume(image.slices), label=None)
                    for image in images
                ]
            slices = [image.slices for image in images]
            logits = self._networks.logits(slices[0] if len(slices) == 1 else np.concatenate(slices))
            ends = np.cumsum([len(image.slices) for image in images])
            return [
                self._labelled(image, part[image.inside].swapaxes(0, 1), with_probabilities)
                for image, part in zip(images, np.split(logits, ends[:-1]), strict=True)
            ]

    def _labelled(self, image: PreparedImage, logits: Logits, with_probabilities: bool) -> Segmented:
        if not isinstance(image.way_back, Prepared):
            return Segmented(way_back=image.way_back, logits=logits, label=None)
        label = label_map_of(logits, self.plan.heads)
        return Segmented(way_back=image.way_back, logits=logits if with_probabilities else None, label=label)

    def bring_back(self, found: Segmented, *, with_probabilities: bool) -> tuple[LabelMap, FloatArray | None]:
        """Return the label map, (z, y, x) of the image, and the probabilities, (heads, z, y, x), if they are wanted.

        Args:
            found: of ``segment``, with the same ``with_probabilities``.
            with_probabilities: whether to return them too.
        """
        way_back = found.way_back
        if not isinstance(way_back, Prepared):
            assert found.logits is not None
            label, probabilities = self._nnunet.finish(found.logits, way_back, with_probabilities=with_probabilities)
            return postprocess(label, self._postprocessing), probabilities
        assert found.label is not None
        label = postprocess(label_map_back(found.label, way_back, self.plan), self._postprocessing)
        if not with_probabilities:
            return label, None
        assert found.logits is not None
        return label, probabilities_back(probabilities_of(found.logits, self.plan.heads), way_back, self.plan)


def padded(
    slices: FloatArray, window: Sequence[int], *, around: float | npt.NDArray[Any] = 0.0
) -> tuple[FloatArray, tuple[slice, ...]]:
    """Return slices in the middle of a window where they are smaller than it, and where the slices are in them.

    Args:
        slices: (k, c, y, x).
        window: pixels per axis.
        around: the value around slices; or (c, 1, 1), that of each channel.
    """
    inside = []
    for size, length in zip(slices.shape[2:], window, strict=True):
        before = max(length - size, 0) // 2
        inside.append(slice(before, before + size))
    shape = tuple(map(max, slices.shape[2:], window))
    if shape == slices.shape[2:]:
        return slices, tuple(inside)
    whole = np.empty((*slices.shape[:2], *shape), dtype=slices.dtype)
    whole[:] = around
    whole[:, :, inside[0], inside[1]] = slices
    return whole, tuple(inside)
