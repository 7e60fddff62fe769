"""The operands of a Mamba block and the sizes that its fused kernels take."""

from typing import NamedTuple

import torch
from torch import Tensor

# Above this width a matrix product is better left to torch, which arranges its weights for the cache.
LARGEST_D_INNER = 64
# The convolution may look back into the chunk of tokens before its own, not further.
LARGEST_D_CONV = 64
LANES, CHUNK = 16, 64


class MambaOperands(NamedTuple):
    """The tokens and weights of a block; gradients come back in the order of the tensors here.

    Args:
        tokens: (b, l, n_parallel * d_model).
        in_proj: (2 * d_inner, d_model): x first, then z.
        conv: (d_inner, 1, d_conv), depthwise and causal.
        conv_bias: (d_inner,), or None.
        x_proj: (dt_rank + 2 * n, d_inner): the step size's, then B, then C.
        dt_proj: (d_inner, dt_rank).
        dt_bias: (d_inner,).
        A_log: (d_inner, n); the state decays by A = -exp(A_log).
        D: (d_inner,), skip weight.
        out_proj: (d_model, d_inner).
        n_parallel: number of chunks of the tokens' channels; each passes through the same block.
        reverse: whether the tokens are read from the last to the first; each result stays at its token's place.
    """

    tokens: Tensor
    in_proj: Tensor
    conv: Tensor
    conv_bias: Tensor | None
    x_proj: Tensor
    dt_proj: Tensor
    dt_bias: Tensor
    A_log: Tensor
    D: Tensor
    out_proj: Tensor
    n_parallel: int = 1
    reverse: bool = False

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        """The tensor operands, None for an absent one."""
        return tuple(self[:-2])


TENSOR_NAMES = MambaOperands._fields[:-2]


def states_shape(cases: int, length: int, n_parallel: int, d_inner: int, n: int) -> tuple[int, int, int, int, int]:
    """Return the shape of the states that a fused forward pass saves, (jobs, chunks, n, blocks of channels, 16)."""
    return cases * n_parallel, -(-length // CHUNK), n, -(-d_inner // LANES), LANES


def refusal(x: MambaOperands) -> str | None:
    """Return why the fused kernels cannot take these operands, or None if they can."""
    d_inner, _, d_conv = x.conv.shape
    if d_inner > LARGEST_D_INNER:
        return f"d_inner = {d_inner} is above {LARGEST_D_INNER}"
    if d_conv > LARGEST_D_CONV:
        return f"d_conv = {d_conv} is above {LARGEST_D_CONV}"
    # The other operands have the same dtype and device, or fail in either way of computing.
    if x.tokens.dtype != torch.float32 or x.tokens.device.type != "cpu":
        return f"{x.tokens.dtype} on {x.tokens.device} is not float32 on a CPU"
    return None
