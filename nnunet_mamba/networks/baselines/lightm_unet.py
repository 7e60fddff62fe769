"""LightM-UNet: an encoder of residual Mamba blocks, and a small decoder.

The published code has two versions of what surrounds the Mamba blocks: the first has plain convolutions, the second
convolves each channel by itself. UltraLight VM-UNet's tables have the first, with 8 filters: only that has 0.403 M
parameters.

Source: Liao et al. 2024, "LightM-UNet: Mamba Assists in Lightweight UNet for Medical Image Segmentation",
arXiv:2403.05246.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import is_whole, require_flags, require_numbers
from nnunet_mamba.blocks.baselines.residual_mamba import ResidualMamba
from nnunet_mamba.blocks.max_pool import max_pool
from nnunet_mamba.blocks.memory_layout import with_channels_last
from nnunet_mamba.networks.input_images import require_positive
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork

NORM_GROUPS = 8
N_STAGES = 4


class LightMUNet(SegmentationNetwork):
    """Segment images of any height and width.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        base_filters: channels of the first stage, a multiple of 8; every further stage has twice as many as the one
            before. The published trainer has 32, the published class 8.
        blocks_per_stage: residual Mamba blocks of the encoder's four stages.
        separable: whether stem, decoder and head convolve each channel by itself before they mix the channels, as in
            the published code's second version; False is the first.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        base_filters: int = 8,
        blocks_per_stage: Sequence[int] = (1, 2, 2, 4),
        separable: bool = True,
    ) -> None:
        require_positive("LightMUNet", input_channels=input_channels, num_classes=num_classes)
        require_flags("LightMUNet", separable=separable)
        require_numbers("LightMUNet", "blocks_per_stage", blocks_per_stage, of="numbers of blocks", count=N_STAGES)
        if not is_whole(base_filters) or base_filters < 1 or base_filters % NORM_GROUPS:
            raise ValueError(
                f"LightMUNet: base_filters={base_filters!r}, expected a positive multiple of {NORM_GROUPS}, the group "
                f"norms' groups; the published ones are 8 and 32"
            )
        super().__init__(input_channels, size_multiple=(2 ** (N_STAGES - 1),) * 2, output_reductions=((1, 1),))
        self.separable, self.blocks_per_stage = separable, tuple(blocks_per_stage)
        widths = [base_filters * 2**stage for stage in range(N_STAGES)]
        self.stem = _convolution(input_channels, widths[0], separable=separable)
        self.encoder = nn.ModuleList(
            EncoderStage(before, width, n_blocks)
            for before, width, n_blocks in zip((None, *widths), widths, blocks_per_stage, strict=False)
        )
        self.decoder = Decoder(widths[::-1], num_classes, separable=separable)

    @property
    def published_names(self) -> dict[str, str]:
        """Our names and the published ones."""
        names = {"decoder.norm": "conv_final.0"}
        if self.separable:
            names |= {f"stem.{place}": f"convInit.{place}.conv" for place in range(2)}
            names |= {"decoder.depthwise": "conv_final.2.0.conv", "decoder.seg_layers.0": "conv_final.2.1.conv"}
        else:
            names |= {"stem": "convInit.conv", "decoder.seg_layers.0": "conv_final.2.conv"}
        for i, n_blocks in enumerate(self.blocks_per_stage):
            names[f"encoder.{i}.transition"] = f"down_layers.{i}.0.0"
            names |= {f"encoder.{i}.blocks.{j}": f"down_layers.{i}.{j + 1}" for j in range(n_blocks)}
        for k in range(N_STAGES - 1):
            names[f"decoder.narrow.{k}"] = f"up_samples.{k}.0.conv"
            names[f"decoder.blocks.{k}"] = f"up_layers.{k}.0"
        return names

    def segment(self, x: Tensor) -> Tensor:
        """Return the logits of padded images ``x``, (b, c, h, w)."""
        x = with_channels_last(self.stem(x))
        maps = []
        for stage in self.encoder:
            x = stage(x)
            maps.append(x)
        logits: Tensor = self.decoder(maps)
        return logits


class EncoderStage(nn.Module):
    """The way from the stage above, if there is one, then residual Mamba blocks.

    Args:
        in_channels: of the stage above; None without one.
        channels: of this stage.
        n_blocks: blocks.
    """

    def __init__(self, in_channels: int | None, channels: int, n_blocks: int) -> None:
        super().__init__()
        self.transition = None if in_channels is None else ResidualMamba(in_channels, channels)
        self.blocks = nn.Sequential(*(ResidualMambaBlock(channels) for _ in range(n_blocks)))

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, in_channels, h, w) into (b, channels, h / 2, w / 2), or keep the shape at the first stage."""
        if self.transition is not None:
            x = max_pool(self.transition(x), (2, 2))
        mixed: Tensor = self.blocks(x)
        return mixed


class ResidualMambaBlock(nn.Module):
    """Normalise, ReLU and mix, twice, and add the map.

    Args:
        channels: of the map.
    """

    published_names: ClassVar[Mapping[str, str]] = {"mixer1": "conv1", "mixer2": "conv2"}

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(channels), _norm(channels)
        self.mixer1, self.mixer2 = ResidualMamba(channels, channels), ResidualMamba(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, channels, h, w), into the same shape."""
        y = self.mixer1(functional.relu(self.norm1(x)))
        mixed: Tensor = x + self.mixer2(functional.relu(self.norm2(y)))
        return mixed


class Decoder(nn.Module):
    """Narrow the map, double its size and add the encoder's, level by level; then the head.

    Args:
        widths: channels of the stages, deepest first.
        num_classes: channels of the logits.
        separable: see ``LightMUNet``.
    """

    def __init__(self, widths: Sequence[int], num_classes: int, *, separable: bool) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(nn.Conv2d(below, width, 1, bias=False) for below, width in pairwise(widths))
        # A layer, not a function, as the papers' GFLOPs count it.
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear")
        block = SeparableBlock if separable else ConvolutionBlock
        self.blocks = nn.ModuleList(block(width) for width in widths[1:])
        self.norm = _norm(widths[-1])
        self.depthwise = nn.Conv2d(widths[-1], widths[-1], 1, groups=widths[-1]) if separable else None
        self.seg_layers = nn.ModuleList([nn.Conv2d(widths[-1], num_classes, 1)])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the logits (b, num_classes, h, w) of the encoder's ``maps``, highest resolution first."""
        x = maps[-1]
        for narrow, block, skip in zip(self.narrow, self.blocks, maps[-2::-1], strict=True):
            x = block(self.upsample(narrow(x)) + skip)
        x = functional.relu(self.norm(x))
        logits: Tensor = self.seg_layers[0](x if self.depthwise is None else self.depthwise(x))
        # What follows expects the plain layout.
        return logits.contiguous()


class SeparableBlock(nn.Module):
    """Normalise, ReLU, convolve, and add the scaled map; then normalise, ReLU: the second version's decoder."""

    published_names: ClassVar[Mapping[str, str]] = {"convolution.0": "conv.0.conv", "convolution.1": "conv.1.conv"}

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(channels), _norm(channels)
        self.convolution = _convolution(channels, channels, separable=True)
        self.skip_scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x``, (b, channels, h, w), into the same shape."""
        y = self.convolution(functional.relu(self.norm1(x))) + self.skip_scale * x
        return functional.relu(self.norm2(y))


class ConvolutionBlock(nn.Module):
    """Normalise, ReLU and convolve, twice, and add the map: the first version's decoder."""

    published_names: ClassVar[Mapping[str, str]] = {"convolution1": "conv1.conv", "convolution2": "conv2.conv"}

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(channels), _norm(channels)
        self.convolution1 = _convolution(channels, channels, separable=False)
        self.convolution2 = _convolution(channels, channels, separable=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x``, (b, channels, h, w), into the same shape."""
        y = self.convolution1(functional.relu(self.norm1(x)))
        convolved: Tensor = x + self.convolution2(functional.relu(self.norm2(y)))
        return convolved


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(NORM_GROUPS, channels)


def _convolution(in_channels: int, out_channels: int, *, separable: bool) -> nn.Module:
    if not separable:
        return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
    )
