"""Multi-axis Hadamard products: quarters of the channels are weighed by learnt planes, rows and columns."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_whole
from nnunet_mamba.blocks.baselines.channel_norm import ChannelNorm

N_GROUPS = 4
# Learnt weights along an axis, whatever the size of the map.
N_WEIGHTS = 8


class MultiAxisProduct(nn.Module):
    """Mix the positions of a map and change its number of channels.

    Of norm(map), the first three quarters of the channels are multiplied by weights of their own: one for each
    position, one for each row, one for each column. These are learnt at a fixed size, interpolated to the map's and
    convolved. The last quarter is convolved itself. map' = out(out_norm(all of them)).

    Args:
        in_channels: a multiple of 4.
        out_channels: channels of the result.

    Raises:
        ValueError: a number does not fit.

    Source:
        Ruan et al. 2023, "EGE-UNet", arXiv:2307.08473 (GHPA).
    """

    published_names: ClassVar[Mapping[str, str]] = {
        "norm": "norm1",
        "plane": "params_xy",
        "rows": "params_zx",
        "columns": "params_zy",
        "of_plane": "conv_xy",
        "of_rows": "conv_zx",
        "of_columns": "conv_zy",
        "local": "dw",
        "out_norm": "norm2",
        "out": "ldw",
    }

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        require_whole("MultiAxisProduct", in_channels=in_channels, out_channels=out_channels)
        if in_channels % N_GROUPS:
            raise ValueError(
                f"MultiAxisProduct: {in_channels} channels cannot be split into {N_GROUPS} equal parts; choose a "
                f"multiple of {N_GROUPS}"
            )
        width = in_channels // N_GROUPS
        self.norm = ChannelNorm(in_channels)
        self.plane = nn.Parameter(torch.ones(1, width, N_WEIGHTS, N_WEIGHTS))
        self.rows = nn.Parameter(torch.ones(1, 1, width, N_WEIGHTS))
        self.columns = nn.Parameter(torch.ones(1, 1, width, N_WEIGHTS))
        self.of_plane = _depthwise_first(nn.Conv2d, width, width)
        self.of_rows = _depthwise_first(nn.Conv1d, width, width)
        self.of_columns = _depthwise_first(nn.Conv1d, width, width)
        self.local = nn.Sequential(
            nn.Conv2d(width, width, 1), nn.GELU(), nn.Conv2d(width, width, 3, padding=1, groups=width)
        )
        self.out_norm = ChannelNorm(in_channels)
        self.out = _depthwise_first(nn.Conv2d, in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, in_channels, h, w), into (b, out_channels, h, w)."""
        height, width = x.shape[2:]
        by_plane, by_rows, by_columns, rest = self.norm(x).chunk(N_GROUPS, dim=1)
        plane = self.of_plane(_interpolate(self.plane, height, width))  # (1, c / 4, h, w)
        rows = self.of_rows(_interpolate(self.rows, self.rows.shape[2], height)[0])  # (1, c / 4, h)
        columns = self.of_columns(_interpolate(self.columns, self.columns.shape[2], width)[0])  # (1, c / 4, w)
        weighed = [by_plane * plane, by_rows * rows[:, :, :, None], by_columns * columns[:, :, None], self.local(rest)]
        mixed: Tensor = self.out(self.out_norm(torch.cat(weighed, dim=1)))
        return mixed


def _depthwise_first(convolution: type[nn.Conv1d] | type[nn.Conv2d], in_channels: int, out_channels: int) -> nn.Module:
    return nn.Sequential(
        convolution(in_channels, in_channels, 3, padding=1, groups=in_channels),
        nn.GELU(),
        convolution(in_channels, out_channels, 1),
    )


def _interpolate(weights: Tensor, height: int, width: int) -> Tensor:
    return functional.interpolate(weights, size=(height, width), mode="bilinear", align_corners=True)
