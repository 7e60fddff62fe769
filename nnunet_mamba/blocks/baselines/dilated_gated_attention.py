"""Dilated gated attention: quarters of the channels see neighbourhoods of four sizes, and a gate weighs the result."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_whole

# One for each quarter of the channels, in their order.
DILATIONS = (7, 5, 2, 1)
NORM_GROUPS = 4


class DilatedGatedAttention(nn.Module):
    """Mix the positions of a map and change its number of channels.

    Each quarter of the channels passes a depthwise convolution of its own dilation; u = GELU(mix(norm(all of them)));
    map' = GELU(out(sigmoid(gate(u)) · GELU(value(u)))) + shortcut(u).

    Args:
        in_channels: a multiple of 4.
        out_channels: channels of the result.

    Raises:
        ValueError: a number does not fit.

    Source:
        Ruan et al. 2022, "MALUNet", arXiv:2211.01784 (DGA).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        require_whole("DilatedGatedAttention", in_channels=in_channels, out_channels=out_channels)
        if in_channels % len(DILATIONS):
            raise ValueError(
                f"DilatedGatedAttention: {in_channels} channels cannot be split into {len(DILATIONS)} equal parts; "
                f"choose a multiple of {len(DILATIONS)}"
            )
        width = in_channels // len(DILATIONS)
        self.dilated = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, groups=width) for dilation in DILATIONS
        )
        self.norm = nn.GroupNorm(NORM_GROUPS, in_channels)
        self.mix = nn.Conv2d(in_channels, in_channels, 1)
        self.gate = DepthwiseProjection(in_channels, in_channels, kernel_size=3)
        self.value = DepthwiseProjection(in_channels, in_channels, kernel_size=5)
        self.out = DepthwiseProjection(in_channels, out_channels, kernel_size=3)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1)

    @property
    def published_names(self) -> dict[str, str]:
        """Our module names and the published ones."""
        return {
            **{f"dilated.{i}": f"mda{i}" for i in range(len(DILATIONS))},
            "norm": "norm_layer",
            "mix": "conv",
            "gate": "gau.w1.0",
            "value": "gau.w2.0",
            "out": "gau.wo.0",
            "shortcut": "gau.cw",
        }

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, in_channels, h, w), into (b, out_channels, h, w)."""
        parts = x.chunk(len(DILATIONS), dim=1)
        seen = torch.cat([convolve(part) for convolve, part in zip(self.dilated, parts, strict=True)], dim=1)
        u = functional.gelu(self.mix(self.norm(seen)))
        gated = torch.sigmoid(self.gate(u)) * functional.gelu(self.value(u))
        mixed: Tensor = functional.gelu(self.out(gated)) + self.shortcut(u)
        return mixed


class DepthwiseProjection(nn.Module):
    """Convolve each channel, normalise, then mix the channels; there is no activation.

    Args:
        in_channels: of the map, a multiple of 4.
        out_channels: of the result.
        kernel_size: taps along both axes, odd.
    """

    published_names: ClassVar[Mapping[str, str]] = {"depthwise": "conv1", "norm": "norm_layer", "pointwise": "conv2"}

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, kernel_size, padding=kernel_size // 2, groups=in_channels)
        self.norm = nn.GroupNorm(NORM_GROUPS, in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, in_channels, h, w) into (b, out_channels, h, w)."""
        projected: Tensor = self.pointwise(self.norm(self.depthwise(x)))
        return projected
