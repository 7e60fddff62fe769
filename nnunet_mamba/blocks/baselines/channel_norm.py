"""Layer norm over the channels of a map, position by position."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_whole


class ChannelNorm(nn.Module):
    """Give the channels of every position the mean 0 and the variance 1, then scale and shift each channel.

    It is no ``nn.LayerNorm``, because the papers' counts leave it out.

    Args:
        channels: of the map.

    Raises:
        ValueError: ``channels`` is no positive integer.

    Source:
        Ba et al. 2016, arXiv:1607.06450; the eps of 1e-6 is that of Ruan et al. 2023, "EGE-UNet", arXiv:2307.08473.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        require_whole("ChannelNorm", channels=channels)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x``, (b, channels, *spatial), to the same shape."""
        channels_last = x.movedim(1, -1)
        normalised = functional.layer_norm(channels_last, self.weight.shape, self.weight, self.bias, eps=1e-6)
        return normalised.movedim(-1, 1)
