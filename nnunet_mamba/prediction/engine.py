"""From images to label maps with a trained model that stays in memory: prepare, run together, bring back."""

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from nnunet_mamba.prediction.label_maps import (
    LabelMap,
    label_map_back,
    label_map_of,
    probabilities_back,
    probabilities_of,
)
from nnunet_mamba.prediction.nnunet_way import NnunetWay
from nnunet_mamba.prediction.plan import PredictionPlan
from nnunet_mamba.prediction.postprocessing import postprocess
from nnunet_mamba.prediction.preprocessing import FloatArray, Prepared, check_image, prepare
from nnunet_mamba.prediction.sliding_window import (
    NOT_FINITE,
    NonFiniteLogitsError,
    SlidingWindow,
    is_lack_of_memory,
    padded,
)
from nnunet_mamba.system.machine import available_cores


@dataclass(frozen=True, kw_only=True)
class PreparedImage:
    """An image that waits for the network.

    Args:
        slices: (z, c, y, x), a window large at least; for a network that sees volumes, (c, z, y, x).
        inside: where the image is in the logits of its slices.
        way_back: our own way back, or nnU-Net's properties.
    """

    slices: Tensor
    inside: tuple[slice, ...]
    way_back: Prepared | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """What the network said of an image, on its own grid.

    Args:
        way_back: of the image that it saw.
        logits: (heads, z, y, x), float16; None where the label map is all that is wanted.
        label: (z, y, x); None where nnU-Net makes it of the logits.
    """

    way_back: Prepared | Mapping[str, Any]
    logits: Tensor | None
    label: LabelMap | None


class Engine:
    """A trained model in memory, with one network for each fold.

    Images may be prepared and brought back in any threads; the networks run in one at a time.

    Args:
        plan: what the plans say.
        networks: one for each fold; they are moved to ``device``.
        mirror_axes: axes of the network's input along which copies are mirrored and averaged.
        device: that the networks run on.
        plans: nnU-Net's plans.json, for what only nnU-Net can do; so is ``dataset_json``.
        dataset_json: of the training data.
        postprocessing: what is done to label maps, see ``postprocessing.postprocess``.
    """

    def __init__(
        self,
        plan: PredictionPlan,
        networks: Sequence[nn.Module],
        *,
        mirror_axes: Sequence[int],
        device: torch.device,
        plans: Mapping[str, Any],
        dataset_json: Mapping[str, Any],
        postprocessing: Sequence[str] = (),
    ) -> None:
        self.plan = plan
        self._networks = [network.to(device).eval() for network in networks]
        self._mirror_axes = tuple(mirror_axes)
        self._device = device
        self._plans = plans
        self._dataset_json = dataset_json
        self._postprocessing = postprocessing
        self._one_at_a_time = threading.Lock()
        if plan.needs_nnunet:
            # Now, so that plans which make no sense are told before an image is read.
            assert self._nnunet is not None

    @cached_property
    def _nnunet(self) -> NnunetWay:
        return NnunetWay(self._plans, self.plan.configuration, self._dataset_json)

    @cached_property
    def _window(self) -> SlidingWindow:
        rows, columns = self.plan.patch_size
        return SlidingWindow(
            self._networks,
            window=(rows, columns),
            n_heads=self.plan.heads.n_heads,
            mirror_axes=self._mirror_axes,
            device=self._device,
        )

    @property
    def slices_at_once(self) -> int:
        """How many slices fill a pass; 1 for networks that see volumes."""
        return self._window.slices_at_once if self.plan.is_2d else 1

    @property
    def leaves_cores_idle(self) -> bool:
        """Whether other threads would not slow a pass down: it runs on a GPU, or on a few of many processor cores."""
        return self._device.type != "cpu" or torch.get_num_threads() < available_cores()

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
        return PreparedImage(slices=torch.from_numpy(data), inside=(), way_back=properties)

    def _sliced(self, data: FloatArray, way_back: Prepared | Mapping[str, Any]) -> PreparedImage:
        slices, inside = padded(torch.from_numpy(data).movedim(1, 0), self.plan.patch_size)
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
        with self._one_at_a_time, _errors_of_images():
            if not self.plan.is_2d:
                return [self._of_volume(image) for image in images]
            logits = self._window.logits(torch.cat([image.slices for image in images]))
            parts = torch.split(logits, [len(image.slices) for image in images])
            return [
                self._labelled(image, part[image.inside].movedim(1, 0), with_probabilities)
                for image, part in zip(images, parts, strict=True)
            ]

    def _of_volume(self, image: PreparedImage) -> Segmented:
        logits = self._nnunet.logits_of_volume(
            image.slices.numpy(), self._networks, mirror_axes=self._mirror_axes, device=self._device
        )
        if not bool(torch.isfinite(logits).all()):
            raise NonFiniteLogitsError(NOT_FINITE)
        return Segmented(way_back=image.way_back, logits=logits, label=None)

    def _labelled(self, image: PreparedImage, logits: Tensor, with_probabilities: bool) -> Segmented:
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


@contextmanager
def _errors_of_images() -> Iterator[None]:
    """Tell what torch and nnU-Net say of one image's numbers and size apart from other errors."""
    try:
        yield
    except RuntimeError as error:
        if is_lack_of_memory(error):
            raise MemoryError("too large for the memory that is left") from error
        # nnU-Net's own words for volumes.
        if str(error).startswith("Encountered inf in predicted array"):
            raise NonFiniteLogitsError(NOT_FINITE) from error
        raise
