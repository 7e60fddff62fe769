"""U-Lite: a U-Net whose convolutions are axial filters of single channels, and layers of single pixels.

Source: Dinh et al. 2023, "1M parameters are enough? A lightweight CNN-based model for medical image segmentation",
arXiv:2306.16103.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_numbers
from nnunet_mamba.blocks.baselines.axial_convolution import AxialConvolution
from nnunet_mamba.blocks.max_pool import max_pool
from nnunet_mamba.networks.input_images import require_positive
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork

KERNEL_SIZE = 7
N_LEVELS = 6
# Of the bottleneck: taps of its filters, and their distances; a fourth quarter of its channels is not convolved.
BOTTLENECK_KERNEL_SIZE, DILATIONS = 3, (1, 2, 3)
QUARTERS = len(DILATIONS) + 1


class ULite(SegmentationNetwork):
    """Segment images of any height and width.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        channels: of the six levels, highest resolution first, the last a multiple of 4.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self, input_channels: int, num_classes: int, *, channels: Sequence[int] = (16, 32, 64, 128, 256, 512)
    ) -> None:
        require_positive("ULite", input_channels=input_channels, num_classes=num_classes)
        require_numbers("ULite", "channels", channels, of="channel numbers", count=N_LEVELS)
        if channels[-1] % QUARTERS:
            raise ValueError(
                f"ULite: channels[{N_LEVELS - 1}]={channels[-1]}, expected a multiple of {QUARTERS}, the parts of the "
                f"bottleneck; nearest is {max(1, round(channels[-1] / QUARTERS)) * QUARTERS}"
            )
        super().__init__(input_channels, size_multiple=(2 ** (N_LEVELS - 1),) * 2, output_reductions=((1, 1),))
        self.stem = nn.Conv2d(input_channels, channels[0], KERNEL_SIZE, padding=KERNEL_SIZE // 2)
        self.encoder = nn.ModuleList(EncoderStage(*between) for between in pairwise(channels))
        self.bottleneck = Bottleneck(channels[-1])
        self.decoder = Decoder(channels[::-1], num_classes)

    @property
    def published_names(self) -> dict[str, str]:
        """Our names and the published ones."""
        deepest = N_LEVELS - 1
        names = {"stem": "conv_in", "bottleneck": f"b{deepest}", "decoder.seg_layers.0": "conv_out"}
        for i in range(deepest):
            names[f"encoder.{i}"] = f"e{i + 1}"
            names[f"decoder.stages.{i}"] = f"d{deepest - i}"
        return names

    def segment(self, x: Tensor) -> Tensor:
        """Return the logits of padded images ``x``, (b, c, h, w)."""
        x = self.stem(x)
        skips = []
        for stage in self.encoder:
            x, skip = stage(x)
            skips.append(skip)
        logits: Tensor = self.decoder(self.bottleneck(x), skips)
        return logits


class EncoderStage(nn.Module):
    """Convolve along both axes and normalise, which is the skip; then change the channels, pool, GELU."""

    published_names: ClassVar[Mapping[str, str]] = {"axial": "dw", "norm": "bn", "pointwise": "pw"}

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.axial = AxialConvolution(in_channels, kernel_size=KERNEL_SIZE)
        self.norm = nn.BatchNorm2d(in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (b, in_channels, h, w) into (b, out_channels, h / 2, w / 2), and a skip of the first shape."""
        skip = self.norm(self.axial(x))
        return functional.gelu(max_pool(self.pointwise(skip), (2, 2))), skip


class Bottleneck(nn.Module):
    """Narrow the map to a quarter of its channels, see it in four ways, normalise, mix these, GELU.

    Args:
        channels: of the map and of the result, a multiple of 4.
    """

    published_names: ClassVar[Mapping[str, str]] = {
        "narrow": "pw1",
        **{f"axials.{i}": f"dw{i + 1}" for i in range(len(DILATIONS))},
        "norm": "bn",
        "mix": "pw2",
    }

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter = channels // QUARTERS
        self.narrow = nn.Conv2d(channels, quarter, 1)
        self.axials = nn.ModuleList(
            AxialConvolution(quarter, kernel_size=BOTTLENECK_KERNEL_SIZE, dilation=dilation) for dilation in DILATIONS
        )
        self.norm = nn.BatchNorm2d(channels)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, channels, h, w), into the same shape."""
        x = self.narrow(x)
        seen = torch.cat([x, *(axial(x) for axial in self.axials)], dim=1)
        return functional.gelu(self.mix(self.norm(seen)))


class Decoder(nn.Module):
    """Double the size, level by level, and read the logits off the image's resolution.

    Args:
        widths: channels of the levels, deepest first.
        num_classes: channels of the logits.
    """

    def __init__(self, widths: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(DecoderStage(*between) for between in pairwise(widths))
        self.seg_layers = nn.ModuleList([nn.Conv2d(widths[-1], num_classes, 1)])

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """Return the logits of the deepest map ``x``; ``skips`` are (b, c_i, h_i, w_i), highest resolution first."""
        for stage, skip in zip(self.stages, reversed(skips), strict=True):
            x = stage(x, skip)
        logits: Tensor = self.seg_layers[0](x)
        return logits


class DecoderStage(nn.Module):
    """Repeat the pixels, concatenate the skip, change the channels, convolve along both axes, mix the channels."""

    published_names: ClassVar[Mapping[str, str]] = {"fuse": "pw", "norm": "bn", "axial": "dw", "mix": "pw2"}

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        # A layer, not a function, as the papers' GFLOPs count it.
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.fuse = nn.Conv2d(in_channels + out_channels, out_channels, 1)
        self.norm = nn.BatchNorm2d(out_channels)
        self.axial = AxialConvolution(out_channels, kernel_size=KERNEL_SIZE)
        self.mix = nn.Conv2d(out_channels, out_channels, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Turn (b, in_channels, h, w) and (b, out_channels, 2 h, 2 w) into the latter's shape."""
        fused = self.norm(self.fuse(torch.cat([self.upsample(x), skip], dim=1)))
        return functional.gelu(self.mix(self.axial(fused)))
