"""The layer that LightM-UNet is made of: one Mamba over a map, the map itself beside it, and a linear layer."""

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import require_whole
from nnunet_mamba.blocks.mamba import Mamba


class ResidualMamba(nn.Module):
    """Mix all positions of a map in row-major order and change its number of channels.

    tokens = Mamba(norm(map)) + skip_scale * map; map = proj(norm(tokens)), with one and the same norm.

    Args:
        in_channels: of the map.
        out_channels: of the result.

    Raises:
        ValueError: a number is no positive integer.

    Source:
        Liao et al. 2024, "LightM-UNet", arXiv:2403.05246.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        require_whole("ResidualMamba", in_channels=in_channels, out_channels=out_channels)
        self.norm = nn.LayerNorm(in_channels)
        self.mamba = Mamba(in_channels)
        self.skip_scale = nn.Parameter(torch.ones(1))
        self.proj = nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, in_channels, *spatial), into (b, out_channels, *spatial)."""
        tokens = x.flatten(2).mT  # (b, l, c)
        tokens = self.mamba(self.norm(tokens)) + self.skip_scale * tokens
        mixed: Tensor = self.proj(self.norm(tokens))
        return torch.unflatten(mixed.mT, 2, x.shape[2:])
