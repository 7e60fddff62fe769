"""External attention: the positions of a map look at a memory that all images share, not at each other."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_whole

NORM_GROUPS = 4
# Rows of the memory, by the channels of the map.
MEMORY_RATIO = 4


class ExternalAttention(nn.Module):
    """Replace every position by a mixture of learnt memories, and add it to the map.

    scores = memory_keys(in_proj(map)); shares = softmax of the scores over the positions, then divided by their sum
    over the memory; map' = GELU(norm(out_proj(memory_values(shares))) + map).

    Args:
        channels: of the map and of the result, a multiple of 4.

    Raises:
        ValueError: ``channels`` does not fit.

    Source:
        Ruan et al. 2022, "MALUNet", arXiv:2211.01784 (IEA); Guo et al. 2021, arXiv:2105.02358.
    """

    published_names: ClassVar[Mapping[str, str]] = {
        "in_proj": "conv1",
        "memory_keys": "linear_0",
        "memory_values": "linear_1",
        "out_proj": "conv2",
        "norm": "norm_layer",
    }

    def __init__(self, channels: int) -> None:
        super().__init__()
        require_whole("ExternalAttention", channels=channels)
        if channels % NORM_GROUPS:
            raise ValueError(
                f"ExternalAttention: channels={channels}, expected a multiple of {NORM_GROUPS} (the group norm's "
                f"groups); nearest is {max(1, round(channels / NORM_GROUPS)) * NORM_GROUPS}"
            )
        self.in_proj = nn.Conv2d(channels, channels, 1)
        # Two tensors of their own: the published ones share their memory until they are moved to a GPU.
        self.memory_keys = nn.Conv1d(channels, MEMORY_RATIO * channels, 1, bias=False)
        self.memory_values = nn.Conv1d(MEMORY_RATIO * channels, channels, 1, bias=False)
        self.out_proj = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.GroupNorm(NORM_GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, channels, h, w), into the same shape."""
        scores = self.memory_keys(self.in_proj(x).flatten(2))  # (b, memory, h w)
        # The share of one among many positions is too small a number for half precision.
        shares = scores.softmax(dim=2, dtype=torch.promote_types(scores.dtype, torch.float32))
        shares = shares / (1e-9 + shares.sum(dim=1, keepdim=True))
        read = torch.unflatten(self.memory_values(shares.to(scores.dtype)), 2, x.shape[2:])
        return functional.gelu(self.norm(self.out_proj(read)) + x)

    @torch.no_grad()
    def begin_with_one_memory(self) -> None:
        """Set the keys to the values, as the published layer begins."""
        self.memory_keys.weight.copy_(self.memory_values.weight.transpose(0, 1))
