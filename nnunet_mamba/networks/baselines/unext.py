"""UNeXt: three levels of convolutions, and below them two levels of tokens that MLPs mix over shifted channels.

Source: Valanarasu and Patel 2022, "UNeXt", arXiv:2203.04967.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_numbers
from nnunet_mamba.blocks.baselines.shifted_mlp import ShiftedMLP
from nnunet_mamba.blocks.max_pool import max_pool
from nnunet_mamba.networks.input_images import require_positive
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork

N_CONVOLUTION_LEVELS, N_TOKEN_LEVELS = 3, 2
N_LEVELS = N_CONVOLUTION_LEVELS + N_TOKEN_LEVELS


class UNeXt(SegmentationNetwork):
    """Segment images of any height and width.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        channels: of the five levels, highest resolution first, which is half of the image's; UNeXt-S has
            (8, 16, 32, 64, 128).

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self, input_channels: int, num_classes: int, *, channels: Sequence[int] = (16, 32, 128, 160, 256)
    ) -> None:
        require_positive("UNeXt", input_channels=input_channels, num_classes=num_classes)
        require_numbers("UNeXt", "channels", channels, of="channel numbers", count=N_LEVELS)
        super().__init__(input_channels, size_multiple=(2**N_LEVELS,) * 2, output_reductions=((1, 1),))
        self.encoder = Encoder((input_channels, *channels))
        self.decoder = Decoder(channels[::-1], num_classes)

    @property
    def published_names(self) -> dict[str, str]:
        """Our names and the published ones."""
        names = {"decoder.seg_layers.0": "final", "decoder.last": f"decoder{N_LEVELS}"}
        for i in range(N_CONVOLUTION_LEVELS):
            names[f"encoder.stages.{i}.convolution"] = f"encoder{i + 1}"
            names[f"encoder.stages.{i}.norm"] = f"ebn{i + 1}"
        for i in range(N_TOKEN_LEVELS):
            stage = f"encoder.stages.{N_CONVOLUTION_LEVELS + i}"
            names[f"{stage}.patches"] = f"patch_embed{i + 3}.proj"
            names[f"{stage}.patch_norm"] = f"patch_embed{i + 3}.norm"
            names[f"{stage}.block"] = f"block{i + 1}.0"
            names[f"{stage}.norm"] = f"norm{i + 3}"
            names[f"decoder.stages.{i}.block"] = f"dblock{i + 1}.0"
            names[f"decoder.stages.{i}.block_norm"] = f"dnorm{i + 3}"
        for i in range(N_LEVELS - 1):
            names[f"decoder.stages.{i}.convolution"] = f"decoder{i + 1}"
            names[f"decoder.stages.{i}.norm"] = f"dbn{i + 1}"
        return names

    def segment(self, x: Tensor) -> Tensor:
        """Return the logits of padded images ``x``, (b, c, h, w)."""
        logits: Tensor = self.decoder(self.encoder(x))
        return logits


class Encoder(nn.Module):
    """Halve the resolution at every level: three times by pooling, twice by patches of tokens.

    Args:
        widths: channels of the image and of every level.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            (ConvolutionStage if level < N_CONVOLUTION_LEVELS else TokenStage)(*between)
            for level, between in enumerate(pairwise(widths))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps of all levels, (b, width, h / 2, w / 2) and smaller, of images (b, c, h, w)."""
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class ConvolutionStage(nn.Module):
    """Convolve, normalise, pool to half the size, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, in_channels, h, w) into (b, out_channels, h / 2, w / 2)."""
        return functional.relu(max_pool(self.norm(self.convolution(x)), (2, 2)))


class TokenStage(nn.Module):
    """Join overlapping patches into tokens, normalise, mix them, normalise."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
        self.patch_norm = nn.LayerNorm(out_channels)
        self.block = ShiftedBlock(out_channels)
        self.norm = nn.LayerNorm(out_channels)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, in_channels, h, w) into (b, out_channels, h / 2, w / 2)."""
        tokens = self.patch_norm(self.patches(x).permute(0, 2, 3, 1))
        mixed: Tensor = self.norm(self.block(tokens))
        return mixed.permute(0, 3, 1, 2)


class ShiftedBlock(nn.Module):
    """x + MLP(norm(x)), without any attention.

    Args:
        d_model: width of the map.
    """

    published_names: ClassVar[Mapping[str, str]] = {"norm": "norm2"}

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.mlp = ShiftedMLP(d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, h, w, d_model), into the same shape."""
        mixed: Tensor = x + self.mlp(self.norm(x))
        return mixed


class Decoder(nn.Module):
    """Double the size and add the encoder's map, level by level, and read the logits off the image's resolution.

    Args:
        widths: channels of the levels, deepest first.
        num_classes: channels of the logits.
    """

    def __init__(self, widths: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            DecoderStage(*between, has_tokens=place < N_TOKEN_LEVELS) for place, between in enumerate(pairwise(widths))
        )
        self.last = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.seg_layers = nn.ModuleList([nn.Conv2d(widths[-1], num_classes, 1)])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the logits (b, num_classes, h, w) of the encoder's ``maps``, highest resolution first."""
        x = maps[-1]
        for stage, skip in zip(self.stages, maps[-2::-1], strict=True):
            x = stage(x, skip)
        # No norm here, as published.
        logits: Tensor = self.seg_layers[0](functional.relu(_doubled(self.last(x))))
        return logits


class DecoderStage(nn.Module):
    """Convolve, normalise, double the size, ReLU, add the skip, and mix where the level below has tokens.

    Args:
        in_channels: of the map from below.
        out_channels: of the skip and of the result.
        has_tokens: whether a block mixes the sum.
    """

    def __init__(self, in_channels: int, out_channels: int, *, has_tokens: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(out_channels)
        self.block = ShiftedBlock(out_channels) if has_tokens else None
        self.block_norm = nn.LayerNorm(out_channels) if has_tokens else None
        if self.block is not None:
            self.block.apply(_initialise)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Turn (b, in_channels, h, w) and (b, out_channels, 2 h, 2 w) into the latter's shape."""
        x = functional.relu(_doubled(self.norm(self.convolution(x)))) + skip
        if self.block is None or self.block_norm is None:
            return x
        tokens: Tensor = self.block_norm(self.block(x.permute(0, 2, 3, 1)))
        return tokens.permute(0, 3, 1, 2)


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear")


def _initialise(module: nn.Module) -> None:
    """Set the published initial values of what has to do with tokens; all others are torch's."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
