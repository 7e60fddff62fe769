"""The attention bridge: the skips of all levels weigh each other's positions, then each other's channels."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import require_sequence, require_whole
from nnunet_mamba.blocks.few_map_convolution import FewMapConvolution
from nnunet_mamba.blocks.layers_by_axes import convolution_for
from nnunet_mamba.ops.transforms import is_traced

SplitAttention = Literal["fc", "conv"]


class SpatialAttention(nn.Module):
    """One convolution of 7 taps an axis, dilated by 3, shared by all levels: channel mean and maximum to a weight."""

    published_names: ClassVar[Mapping[str, str]] = {"conv": "shared_conv2d.0"}

    def __init__(self, *, spatial_dims: int = 2) -> None:
        super().__init__()
        self.conv: nn.Module = (
            FewMapConvolution(2, 1, 7, dilation=3)
            if spatial_dims == 2
            else convolution_for(spatial_dims)(2, 1, 7, padding=9, dilation=3)
        )

    def forward(self, level: Tensor) -> Tensor:
        """Return the weight of every position of ``level``, (b, c, *spatial): (b, 1, *spatial) in 0 to 1."""
        # The gradient of amax is shared between equal maxima, the published layer gives it to one of them; without a
        # gradient amax is the faster one. A traced graph is one for both.
        if is_traced() or (torch.is_grad_enabled() and level.requires_grad):
            maximum = level.max(dim=1).values
        else:
            maximum = level.amax(dim=1)
        return torch.sigmoid(self.conv(torch.stack([level.mean(dim=1), maximum], dim=1)))


class ChannelAttention(nn.Module):
    """Weigh the channels of every level by the global averages of all levels.

    Args:
        channels: of the levels, highest resolution first.
        split_att: "fc" makes each level's weights with a linear layer, "conv" with a convolution of one tap.
    """

    def __init__(self, channels: Sequence[int], *, split_att: SplitAttention) -> None:
        super().__init__()
        require_sequence("AttentionBridge", "channels", channels, of="channel numbers")
        for level, number in enumerate(channels):
            require_whole("AttentionBridge", **{f"channels[{level}]": number})
        self.channels = tuple(channels)
        total = sum(self.channels)
        self.neighbours = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.heads = nn.ModuleList(
            nn.Linear(total, c) if split_att == "fc" else nn.Conv1d(total, c, 1) for c in self.channels
        )

    @property
    def published_names(self) -> dict[str, str]:
        """Our module names and the published ones."""
        heads = {f"heads.{i}": f"att{i + 1}" for i in range(len(self.heads))}
        return {"neighbours": "get_all_att", **heads}

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return one weight in 0 to 1 per channel of every level: (b, c, 1, ...) for a level (b, c, *spatial)."""
        averages = torch.cat([level.flatten(2).mean(dim=2) for level in levels], dim=1)
        averages = self.neighbours(averages[:, None])[:, 0]  # (b, total)
        return [
            torch.sigmoid(_apply_head(head, averages)).reshape(*level.shape[:2], *(1,) * (level.ndim - 2))
            for head, level in zip(self.heads, levels, strict=True)
        ]

    def published_multiply_adds(self, x: Sequence[Tensor], y: Sequence[Tensor]) -> int:
        """Return what pooling layers count, with which the published bridge averages.

        That is one operation per number and one per average.
        """
        return sum(level.numel() + level.shape[1] for level in x)


def _apply_head(head: nn.Module, averages: Tensor) -> Tensor:
    """Apply a linear layer or a one-tap convolution to ``averages``, (b, total): (b, c)."""
    weights: Tensor = head(averages[..., None])[..., 0] if isinstance(head, nn.Conv1d) else head(averages)
    return weights


class AttentionBridge(nn.Module):
    """Refine the skips of all levels with spatial attention, then channel attention, each with its residual.

    Args:
        channels: of the levels, highest resolution first.
        split_att: "fc" or "conv", see ``ChannelAttention``.
        spatial_dims: 2 for images, 3 for volumes.

    Raises:
        ValueError: ``split_att`` is neither.

    Source:
        Ruan et al. 2022, "MALUNet", IEEE BIBM (spatial and channel attention bridge), as Wu et al. 2024,
        arXiv:2403.20035, use it.
    """

    published_names: ClassVar[Mapping[str, str]] = {"spatial": "satt", "channel": "catt"}

    def __init__(self, channels: Sequence[int], *, split_att: SplitAttention = "fc", spatial_dims: int = 2) -> None:
        super().__init__()
        if split_att not in get_args(SplitAttention):
            raise ValueError(f"AttentionBridge: split_att={split_att!r}, expected 'fc' or 'conv'; pass one of them")
        self.spatial = SpatialAttention(spatial_dims=spatial_dims)
        self.channel = ChannelAttention(channels, split_att=split_att)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return the refined ``levels``, (b, c_i, *spatial_i) each, in their order and shapes."""
        weighted = [level * self.spatial(level) for level in levels]
        residual = [level + product for level, product in zip(levels, weighted, strict=True)]
        return [
            level * weight + product
            for level, weight, product in zip(residual, self.channel(residual), weighted, strict=True)
        ]
