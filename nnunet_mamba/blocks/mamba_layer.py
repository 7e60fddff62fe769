"""The layer that U-Mamba puts into a convolutional network: LayerNorm, then Mamba, on a flattened map."""

import math

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import require_flags, require_whole
from nnunet_mamba.blocks.mamba import Mamba
from nnunet_mamba.ops.autocast import without_autocast


class MambaLayer(nn.Module):
    """Mix a map's positions in row-major order, or its channels; no residual around it.

    Norm and Mamba leave autocast, compute in the weights' float32 and return it; see ``Mamba`` for other precisions.

    Args:
        d_model: width of a token: the map's channels or, where these are the tokens, its number of positions.
        channels_as_tokens: every channel is a token as wide as the map, instead of every position one as wide as
            the channels; this ties the layer to one size of map.

    Raises:
        ValueError: ``d_model`` is not a positive integer.

    Source:
        Ma et al. 2024, "U-Mamba", arXiv:2401.04722.
    """

    def __init__(self, d_model: int, *, channels_as_tokens: bool = False) -> None:
        super().__init__()
        require_whole("MambaLayer", d_model=d_model)
        require_flags("MambaLayer", channels_as_tokens=channels_as_tokens)
        self.d_model = d_model
        self.channels_as_tokens = channels_as_tokens
        self.mamba = Mamba(d_model)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, c, *spatial), into the same shape, in the precision of the weights."""
        spatial = x.shape[2:]
        width = math.prod(spatial) if self.channels_as_tokens else x.shape[1]
        if x.ndim < 3 or width != self.d_model:
            meaning = "positions in all" if self.channels_as_tokens else "channels"
            raise ValueError(
                f"MambaLayer: map of shape {tuple(x.shape)}, expected (b, c, *spatial) with {self.d_model} {meaning}; "
                f"pass such a map, or create the layer with another d_model"
            )
        with without_autocast(x.device.type):
            tokens = x.to(torch.promote_types(x.dtype, self.norm.weight.dtype)).flatten(2)  # (b, c, l)
            mixed = self.mamba(self.norm(tokens)) if self.channels_as_tokens else self.mamba(self.norm(tokens.mT)).mT
        return torch.unflatten(mixed, 2, spatial)
