"""What all U-Nets share that take their sizes stage by stage, as nnU-Net's plans give them."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import named_axes
from nnunet_mamba.networks.input_images import require_positive
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork
from nnunet_mamba.networks.stage_sizes import StageSizes


class StageUNet(SegmentationNetwork):
    """Encode, mix the deepest map, decode.

    A subclass sets ``encoder``, which returns the maps of all stages, the highest resolution first, and ``decoder``,
    which turns them into logits: of the image's resolution, or with ``decoder.deep_supervision`` a list of logits of
    all stages but the deepest, the highest resolution first.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        sizes: of the stages.

    Raises:
        ValueError: a number of channels is not positive.
    """

    encoder: nn.Module

    def __init__(self, input_channels: int, num_classes: int, sizes: StageSizes) -> None:
        *coarser, deepest = sizes.reductions
        super().__init__(input_channels, size_multiple=deepest, output_reductions=coarser)
        require_positive(type(self).__name__, input_channels=input_channels, num_classes=num_classes)

    @property
    def heads(self) -> tuple[nn.Module, ...]:
        """The segmentation heads, the highest resolution first; the decoder has them the other way round."""
        return super().heads[::-1]

    @classmethod
    def axes_named_by(cls, arguments: Mapping[str, Any]) -> int | None:
        """Return the number of axes that kernel sizes or strides have, None if they do not say."""
        return named_axes(arguments, per_stage_and_axis=("kernel_sizes", "strides"))

    def segment(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return the logits of padded images ``x``, (b, input_channels, *spatial); a list with deep supervision."""
        maps = self.encoder(x)
        logits: Tensor | list[Tensor] = self.decoder([*maps[:-1], self._mix_deepest(maps[-1])])
        return logits

    def check_images(self, x: Tensor) -> None:
        """Refuse what no network takes, and images that have a single position at the deepest stage."""
        super().check_images(x)
        self._check_size(x.shape[2:])

    def _mix_deepest(self, x: Tensor) -> Tensor:
        """Mix the deepest map, (b, c, *spatial), into the same shape; a subclass says how."""
        return x

    def _check_size(self, size: Sequence[int]) -> None:
        """Refuse images of a spatial ``size`` that the network cannot take."""
        require_two_positions(type(self).__name__, size, self.size_multiple)


def require_two_positions(owner: str, size: Sequence[int], total_stride: Sequence[int]) -> None:
    """Refuse a ``size`` that has one position at the deepest stage; ``owner`` names the network in the error."""
    if any(length > stride for length, stride in zip(size, total_stride, strict=True)):
        return
    growths = [stride + 1 - length for length, stride in zip(size, total_stride, strict=True)]
    axis = growths.index(min(growths))
    smallest = (*size[:axis], total_stride[axis] + 1, *size[axis + 1 :])
    raise ValueError(
        f"{owner}: images of size {tuple(size)} have a single position at the deepest stage, which InstanceNorm cannot "
        f"normalise; make one axis longer than the total stride {tuple(total_stride)}, the smallest size that works "
        f"is {smallest}"
    )
