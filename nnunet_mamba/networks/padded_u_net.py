"""What U-Nets with stages share: images of any size in, logits of that size out."""

from collections.abc import Sequence

from torch import Tensor, nn

from nnunet_mamba.blocks.pad_to_multiple import pad_to_multiple
from nnunet_mamba.networks.input_images import require_images, require_positive
from nnunet_mamba.networks.output_sizes import crop_outputs
from nnunet_mamba.networks.stage_sizes import StageSizes


class PaddedUNet(nn.Module):
    """Pad the image to a multiple of the total stride, pass encoder, bottleneck and decoder, crop the logits.

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
    decoder: nn.Module

    def __init__(self, input_channels: int, num_classes: int, sizes: StageSizes) -> None:
        super().__init__()
        require_positive(type(self).__name__, input_channels=input_channels, num_classes=num_classes)
        self.input_channels = input_channels
        self.spatial_dims = sizes.spatial_dims
        self.reductions = sizes.reductions
        self.output_reductions = sizes.reductions[:-1]

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return the logits (b, num_classes, *spatial) of images ``x``, (b, input_channels, *spatial).

        With deep supervision a list: those, then (b, num_classes, *ceil(spatial / reduction)) for every further one of
        ``output_reductions``.
        """
        require_images(type(self).__name__, x, input_channels=self.input_channels, spatial_dims=self.spatial_dims)
        self._check_size(x.shape[2:])
        maps = self.encoder(pad_to_multiple(x, self.reductions[-1]))
        logits = self.decoder([*maps[:-1], self._mix_deepest(maps[-1])])
        return crop_outputs(logits, x.shape[2:], self.output_reductions)

    def _mix_deepest(self, x: Tensor) -> Tensor:
        """Mix the deepest map, (b, c, *spatial), into the same shape; a subclass says how."""
        return x

    def _check_size(self, size: Sequence[int]) -> None:
        """Refuse images of a spatial ``size`` that the network cannot take."""
        require_two_positions(type(self).__name__, size, self.reductions[-1])


def require_two_positions(owner: str, size: Sequence[int], total_stride: Sequence[int]) -> None:
    """Refuse a ``size`` of which the deepest stage keeps one position; ``owner`` names the network in the error."""
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
