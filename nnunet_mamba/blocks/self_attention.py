"""Single-head self-attention over chunks of the tokens' channels, in the place of a Mamba block."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_flags, require_whole


class SelfAttention(nn.Module):
    """Let every token look at all tokens, or only at those up to itself.

    Args:
        d_model: width of the tokens.
        causal: whether a token sees only itself and the tokens before it.

    Raises:
        ValueError: ``d_model`` is not a positive integer.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, equation 1, with one head.
    """

    def __init__(self, d_model: int, *, causal: bool = False) -> None:
        super().__init__()
        require_whole("SelfAttention", d_model=d_model)
        require_flags("SelfAttention", causal=causal)
        self.d_model, self.causal = d_model, causal
        self.in_proj = nn.Linear(d_model, 3 * d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def forward(self, tokens: Tensor, *, n_parallel: int = 1) -> Tensor:
        """Mix ``tokens``, (b, l, n_parallel * d_model), each chunk of d_model channels by itself, to the same shape."""
        chunks = torch.unflatten(tokens, 2, (n_parallel, self.d_model)).transpose(1, 2)  # (b, n_parallel, l, d_model)
        query, key, value = self.in_proj(chunks).chunk(3, dim=3)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        projected: Tensor = self.out_proj(mixed)
        return projected.transpose(1, 2).flatten(2)
