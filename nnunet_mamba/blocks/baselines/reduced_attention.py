"""Multi-head attention of a map to a reduced copy of itself."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_whole


class ReducedAttention(nn.Module):
    """Let every position look at patches of positions, each joined into one by a strided convolution.

    Args:
        d_model: width of the map, a multiple of ``n_heads``.
        n_heads: heads, each of which sees its share of the channels.
        reduction: side of a patch; at 1 the convolution has a single tap.

    Raises:
        ValueError: an argument is no positive integer, or the heads do not divide the width.

    Source:
        Xie et al. 2021, "SegFormer", arXiv:2105.15203, section 3.1, efficient self-attention.
    """

    def __init__(self, d_model: int, *, n_heads: int, reduction: int) -> None:
        super().__init__()
        require_whole("ReducedAttention", d_model=d_model, n_heads=n_heads, reduction=reduction)
        if d_model % n_heads:
            raise ValueError(
                f"ReducedAttention: d_model={d_model} for n_heads={n_heads}, expected a multiple; nearest is "
                f"{max(1, round(d_model / n_heads)) * n_heads}"
            )
        self.n_heads = n_heads
        self.reduce = nn.Conv2d(d_model, d_model, reduction, stride=reduction)
        self.norm = nn.LayerNorm(d_model)
        self.query = nn.Linear(d_model, d_model)
        self.key_value = nn.Linear(d_model, 2 * d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Mix a map ``x``, (b, h, w, d_model), to the same shape; h and w are multiples of the reduction."""
        reduced = self.norm(self.reduce(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        query = self._by_heads(self.query(x))
        key, value = map(self._by_heads, self.key_value(reduced).chunk(2, dim=3))
        mixed = functional.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(x.shape))
        return projected

    def _by_heads(self, x: Tensor) -> Tensor:
        """Turn a map (b, h, w, d_model) into tokens (b, n_heads, h w, d_model / n_heads)."""
        return torch.unflatten(x.flatten(1, 2), 2, (self.n_heads, -1)).transpose(1, 2)
