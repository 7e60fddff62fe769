"""The group aggregation bridge: a skip takes in the skip below it and a mask, in neighbourhoods of four sizes."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_whole
from nnunet_mamba.blocks.baselines.channel_norm import ChannelNorm

# One for each group of channels, in their order.
DILATIONS = (1, 2, 5, 7)


class GroupAggregationBridge(nn.Module):
    """Refine a skip by the skip of the level below and by what the decoder takes for the lesion.

    The skip below gets the channels and the size of this one. Then both are split into four groups of channels, each
    group of both is joined with the mask, normalised and convolved with its own dilation, and one tap mixes them all.

    Args:
        below_channels: of the skip of the level below.
        channels: of the skip and of the result, a multiple of 4.

    Raises:
        ValueError: a number does not fit.

    Source:
        Ruan et al. 2023, "EGE-UNet", arXiv:2307.08473 (GAB).
    """

    published_names: ClassVar[Mapping[str, str]] = {
        "project": "pre_project",
        **{f"groups.{i}": f"g{i}" for i in range(len(DILATIONS))},
        "mix": "tail_conv",
    }

    def __init__(self, below_channels: int, channels: int) -> None:
        super().__init__()
        require_whole("GroupAggregationBridge", below_channels=below_channels, channels=channels)
        if channels % len(DILATIONS):
            raise ValueError(
                f"GroupAggregationBridge: {channels} channels cannot be split into {len(DILATIONS)} equal groups; "
                f"choose a multiple of {len(DILATIONS)}"
            )
        self.project = nn.Conv2d(below_channels, channels, 1)
        width = 2 * channels // len(DILATIONS) + 1
        self.groups = nn.ModuleList(
            nn.Sequential(
                ChannelNorm(width),
                nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, groups=width),
            )
            for dilation in DILATIONS
        )
        joined = width * len(DILATIONS)
        self.mix = nn.Sequential(ChannelNorm(joined), nn.Conv2d(joined, channels, 1))

    def forward(self, below: Tensor, skip: Tensor, mask: Tensor) -> Tensor:
        """Return the refined ``skip``, (b, channels, h, w).

        Args:
            below: the refined skip of the level below, (b, below_channels, h', w').
            skip: (b, channels, h, w).
            mask: logits, (b, 1, h, w).
        """
        below = functional.interpolate(self.project(below), size=skip.shape[2:], mode="bilinear", align_corners=True)
        n_groups = len(DILATIONS)
        parts = zip(self.groups, below.chunk(n_groups, dim=1), skip.chunk(n_groups, dim=1), strict=True)
        mixed: Tensor = self.mix(torch.cat([group(torch.cat([*pair, mask], dim=1)) for group, *pair in parts], dim=1))
        return mixed
