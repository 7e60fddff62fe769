"""CMUNeXt: a U-Net of large filters of single channels, which fuses each skip by a convolution in two groups.

Source: Tang et al. 2024, "CMUNeXt: An Efficient Medical Image Segmentation Network Based on Large Kernel and Skip
Fusion", arXiv:2308.01239.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import require_numbers
from nnunet_mamba.blocks.baselines.large_kernel_block import EXPANSION, LargeKernelBlock
from nnunet_mamba.blocks.max_pool import max_pool
from nnunet_mamba.networks.input_images import require_positive
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork

N_LEVELS = 5


class CMUNeXt(SegmentationNetwork):
    """Segment images of any height and width.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        channels: of the five levels, highest resolution first.
        blocks_per_stage: blocks of every level of the encoder.
        kernel_sizes: of these blocks' filters, odd.

    The defaults are those of the paper's base network. CMUNeXt-L has channels (32, 64, 128, 256, 512), blocks
    (1, 1, 1, 6, 3) and the same kernels.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        channels: Sequence[int] = (16, 32, 128, 160, 256),
        blocks_per_stage: Sequence[int] = (1, 1, 1, 3, 1),
        kernel_sizes: Sequence[int] = (3, 3, 7, 7, 7),
    ) -> None:
        require_positive("CMUNeXt", input_channels=input_channels, num_classes=num_classes)
        require_numbers("CMUNeXt", "channels", channels, of="channel numbers", count=N_LEVELS)
        require_numbers("CMUNeXt", "blocks_per_stage", blocks_per_stage, of="numbers of blocks", count=N_LEVELS)
        require_numbers("CMUNeXt", "kernel_sizes", kernel_sizes, of="kernel sizes", count=N_LEVELS)
        super().__init__(input_channels, size_multiple=(2 ** (N_LEVELS - 1),) * 2, output_reductions=((1, 1),))
        self.stem = _convolution(input_channels, channels[0])
        self.encoder = Encoder((channels[0], *channels), blocks_per_stage, kernel_sizes)
        self.decoder = Decoder(channels[::-1], num_classes)

    @property
    def published_names(self) -> dict[str, str]:
        """Our names and the published ones."""
        names = {"stem": "stem.conv", "decoder.seg_layers.0": "Conv_1x1"}
        for i in range(N_LEVELS):
            names[f"encoder.stages.{i}.blocks"] = f"encoder{i + 1}.block"
            names[f"encoder.stages.{i}.change"] = f"encoder{i + 1}.up.conv"
        for i in range(N_LEVELS - 1):
            names[f"decoder.stages.{i}.up"] = f"Up{N_LEVELS - i}.up"
            names[f"decoder.stages.{i}.fuse"] = f"Up_conv{N_LEVELS - i}.conv"
        return names

    def segment(self, x: Tensor) -> Tensor:
        """Return the logits of padded images ``x``, (b, c, h, w)."""
        logits: Tensor = self.decoder(self.encoder(self.stem(x)))
        return logits


class Encoder(nn.Module):
    """Mix, pool to half the size, and again.

    Args:
        widths: channels of the stem and of every level.
        blocks_per_stage: blocks of every level.
        kernel_sizes: of their filters.
    """

    def __init__(self, widths: Sequence[int], blocks_per_stage: Sequence[int], kernel_sizes: Sequence[int]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            EncoderStage(*between, n_blocks=n_blocks, kernel_size=kernel_size)
            for between, n_blocks, kernel_size in zip(pairwise(widths), blocks_per_stage, kernel_sizes, strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps of all levels, (b, width, h / 2^level, w / 2^level), of a map (b, c, h, w)."""
        maps: list[Tensor] = []
        for stage in self.stages:
            maps.append(stage(max_pool(maps[-1], (2, 2)) if maps else x))
        return maps


class EncoderStage(nn.Module):
    """Blocks of one resolution, then a convolution that changes the channels."""

    def __init__(self, in_channels: int, out_channels: int, *, n_blocks: int, kernel_size: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(LargeKernelBlock(in_channels, kernel_size=kernel_size) for _ in range(n_blocks)))
        self.change = _convolution(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, in_channels, h, w) into (b, out_channels, h, w)."""
        changed: Tensor = self.change(self.blocks(x))
        return changed


class Decoder(nn.Module):
    """Double the size and fuse the skip, level by level, and read the logits off the image's resolution.

    Args:
        widths: channels of the levels, deepest first.
        num_classes: channels of the logits.
    """

    def __init__(self, widths: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(DecoderStage(*between) for between in pairwise(widths))
        self.seg_layers = nn.ModuleList([nn.Conv2d(widths[-1], num_classes, 1)])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the logits (b, num_classes, h, w) of the encoder's ``maps``, highest resolution first."""
        x = maps[-1]
        for stage, skip in zip(self.stages, maps[-2::-1], strict=True):
            x = stage(x, skip)
        logits: Tensor = self.seg_layers[0](x)
        return logits


class DecoderStage(nn.Module):
    """Double the size, convolve, and fuse with the skip: each by itself first, then both together."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        # A layer, not a function, as the papers' GFLOPs count it.
        double = nn.Upsample(scale_factor=2, mode="bilinear")
        self.up = nn.Sequential(double, *_convolution(in_channels, out_channels))
        both, wide = 2 * out_channels, EXPANSION * out_channels
        self.fuse = nn.Sequential(
            *_activated(nn.Conv2d(both, both, 3, padding=1, groups=2)),
            *_activated(nn.Conv2d(both, wide, 1)),
            *_activated(nn.Conv2d(wide, out_channels, 1)),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Turn (b, in_channels, h, w) and (b, out_channels, 2 h, 2 w) into the latter's shape."""
        fused: Tensor = self.fuse(torch.cat([skip, self.up(x)], dim=1))
        return fused


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
    )


def _activated(convolution: nn.Conv2d) -> tuple[nn.Module, ...]:
    """Return the convolution with what follows it; the norm comes last, as published."""
    return convolution, nn.GELU(), nn.BatchNorm2d(convolution.out_channels)
