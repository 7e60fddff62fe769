"""Mamba in both directions: each token sees those before it and those after it."""

from typing import Literal, get_args

from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import require_flags
from nnunet_mamba.blocks.mamba import Mamba

Directions = Literal["both", "forward"]
Flip = Literal["sequence", "channels"]


class BidirectionalMamba(nn.Module):
    """Add what a Mamba block makes of the tokens and what it makes of them from the last to the first.

    Args:
        d_model: width of the tokens.
        directions: "both", or "forward" for only the first summand.
        shared: one block for both directions, or one for each.
        flip: what the backward direction turns around: "sequence", the order of the tokens, as the paper says, or
            "channels", as the published code does, whose backward direction still reads the tokens forward.

    Raises:
        ValueError: ``directions`` or ``flip`` is unknown.

    Source:
        Fan et al. 2025, "UltraLBM-UNet", equations 2 to 4.
    """

    def __init__(
        self, d_model: int, *, directions: Directions = "both", shared: bool = True, flip: Flip = "sequence"
    ) -> None:
        super().__init__()
        require_flags("BidirectionalMamba", shared=shared)
        check_directions("BidirectionalMamba", directions=directions, flip=flip)
        self.directions, self.flip = directions, flip
        n_blocks = 1 if shared or directions == "forward" else 2
        self.mambas = nn.ModuleList(Mamba(d_model) for _ in range(n_blocks))

    def forward(self, tokens: Tensor, *, n_parallel: int = 1) -> Tensor:
        """Mix ``tokens``, (b, l, n_parallel * d_model), each chunk of d_model channels by itself.

        Returns:
            The shape of ``tokens``, in the precision of the weights.
        """
        mixed: Tensor = self.mambas[0](tokens, n_parallel=n_parallel)
        if self.directions == "forward":
            return mixed
        turned = {"reverse": True} if self.flip == "sequence" else {"flip_channels": True}
        backward: Tensor = self.mambas[-1](tokens, n_parallel=n_parallel, **turned)
        return mixed + backward

    def published_multiply_adds(self, x: Tensor, y: Tensor) -> int:
        """Return what the layers count that an unfused Mamba block calls, as UltraLBM-UNet's figures have it."""
        mamba = self.mambas[0]
        assert isinstance(mamba, Mamba)
        n_directions = 1 if self.directions == "forward" else 2
        n_tokens = x.numel() // mamba.d_model  # of all chunks
        n_sequences = n_tokens // x.shape[1]
        # The convolution is padded at both ends, and what the right one adds is dropped.
        n_convolved = n_tokens + n_sequences * (mamba.conv1d.kernel_size[0] - 1)
        projections = mamba.x_proj.weight.numel() + mamba.out_proj.weight.numel()
        return n_directions * (n_convolved * mamba.conv1d.weight.numel() + n_tokens * projections)


def check_directions(owner: str, *, directions: str, flip: str) -> None:
    """Raise a ValueError that names ``owner``'s first argument of the two that is unknown."""
    for name, value, known in (("directions", directions, Directions), ("flip", flip, Flip)):
        if value not in get_args(known):
            raise ValueError(
                f"{owner}: {name}={value!r}, expected {' or '.join(map(repr, get_args(known)))}; pass one of them"
            )
