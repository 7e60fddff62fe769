"""The operands of a Mamba block and the sizes that its fused kernels take."""

from typing import NamedTuple

import torch
from torch import Tensor

from nnunet_mamba.ops.cpu_kernels.sizes import CHUNK, LANES
from nnunet_mamba.ops.operand_checks import (
    refuse_count,
    require_alike,
    require_dims,
    require_shapes,
    require_sizes,
)

# Above this width a matrix product is better left to torch, which arranges its weights for the cache.
LARGEST_D_INNER = 64
# The convolution may look back into the chunk of tokens before its own, not further.
LARGEST_D_CONV = 64
# A GPU's program holds whole products in its registers, and every tap costs it one of them.
LARGEST_D_MODEL_ON_GPU = 64
LARGEST_D_CONV_ON_GPU = 8
LARGEST_N_ON_GPU = 64


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
_OWNER = "mamba_mixer"
_BIASES = ("in_bias", "out_bias")


def states_shape(x: MambaOperands) -> tuple[int, ...]:
    """Return the shape of the states that a fused forward pass saves on the device of the tokens.

    On a CPU it is (b * n_parallel, chunks, n, blocks of channels, 16), on a GPU that of ``scan_states_shape``.
    """
    *shape, d_inner = scan_states_shape(x)
    return (*shape, d_inner) if x.tokens.device.type == "cuda" else (*shape, (d_inner + LANES - 1) // LANES, LANES)


def scan_states_shape(x: MambaOperands) -> tuple[int, int, int, int]:
    """Return the shape of the states that the scan within a block saves, (b * n_parallel, chunks, n, d_inner)."""
    (cases, length, _), (d_inner, n) = x.tokens.shape, x.A_log.shape
    # Not -(-length // CHUNK): torch's compiler cannot divide a negative size that it does not know.
    return cases * x.n_parallel, (length + CHUNK - 1) // CHUNK, n, d_inner


def new_states(x: MambaOperands) -> Tensor:
    """Return room for the states that a fused forward pass saves."""
    return x.tokens.new_empty(states_shape(x))


_ORIGIN_OF_SIZES = (
    "from the shapes of conv (d_inner, 1, d_conv), in_proj (2 * d_inner, d_model), dt_proj (d_inner, dt_rank) and "
    "A_log (d_inner, n), and n_parallel"
)


def check_operands(x: MambaOperands, in_bias: Tensor | None = None, out_bias: Tensor | None = None) -> None:
    """Refuse what is not a block and its tokens.

    Args:
        x: operands.
        in_bias: of in_proj, (2 * d_inner,).
        out_bias: of out_proj, (d_model,).

    Raises:
        TypeError: an operand is not a dense floating-point tensor, or has another dtype than the tokens.
        ValueError: shapes do not fit together, or devices differ.
    """
    # Spelled out: torch.compile of torch 2.6 unpacks a named tuple but traces neither its properties nor its slices.
    tokens, in_proj, conv, conv_bias, x_proj, dt_proj, dt_bias, A_log, D, out_proj, n_parallel, _ = x
    tensors = (tokens, in_proj, conv, conv_bias, x_proj, dt_proj, dt_bias, A_log, D, out_proj, in_bias, out_bias)
    require_alike(_OWNER, (*TENSOR_NAMES, *_BIASES), tensors, optional=("conv_bias", *_BIASES))
    require_dims(
        _OWNER,
        (
            ("tokens", tokens, "(b, l, n_parallel * d_model)"),
            ("in_proj", in_proj, "(2 * d_inner, d_model)"),
            ("conv", conv, "(d_inner, 1, d_conv)"),
            ("dt_proj", dt_proj, "(d_inner, dt_rank)"),
            ("A_log", A_log, "(d_inner, n)"),
        ),
    )
    if not isinstance(n_parallel, (int, torch.SymInt)):
        refuse_count(_OWNER, "n_parallel", n_parallel)
    b, length, _ = tokens.shape
    (d_inner, _, d_conv), d_model, rank, n = conv.shape, in_proj.shape[1], dt_proj.shape[1], A_log.shape[1]
    if n_parallel < 1:
        raise ValueError(f"{_OWNER}: n_parallel = {n_parallel}, expected at least 1")
    require_sizes(
        _OWNER,
        (
            ("in_proj", in_proj, "d_model", d_model),
            ("conv", conv, "d_inner", d_inner),
            ("conv", conv, "d_conv", d_conv),
            ("dt_proj", dt_proj, "dt_rank", rank),
            ("A_log", A_log, "n", n),
        ),
    )
    require_shapes(
        _OWNER,
        (
            ("tokens", tokens, "(b, l, n_parallel * d_model)", (b, length, n_parallel * d_model)),
            ("in_proj", in_proj, "(2 * d_inner, d_model)", (2 * d_inner, d_model)),
            ("conv", conv, "(d_inner, 1, d_conv)", (d_inner, 1, d_conv)),
            ("conv_bias", conv_bias, "(d_inner,)", (d_inner,)),
            ("x_proj", x_proj, "(dt_rank + 2 * n, d_inner)", (rank + 2 * n, d_inner)),
            ("dt_proj", dt_proj, "(d_inner, dt_rank)", (d_inner, rank)),
            ("dt_bias", dt_bias, "(d_inner,)", (d_inner,)),
            ("A_log", A_log, "(d_inner, n)", (d_inner, n)),
            ("D", D, "(d_inner,)", (d_inner,)),
            ("out_proj", out_proj, "(d_model, d_inner)", (d_model, d_inner)),
            ("in_bias", in_bias, "(2 * d_inner,)", (2 * d_inner,)),
            ("out_bias", out_bias, "(d_model,)", (d_model,)),
        ),
        origin=_ORIGIN_OF_SIZES,
    )


def check_saved(dmixed: Tensor, states: Tensor, x: MambaOperands) -> None:
    """Refuse a gradient or states that are not those of a forward pass with the operands ``x``.

    Raises:
        TypeError: they have another dtype than the tokens.
        ValueError: they have other shapes, or are on another device.
    """
    require_alike(_OWNER, ("tokens", "dmixed", "states"), (x.tokens, dmixed, states))
    channels = "d_inner" if x.tokens.device.type == "cuda" else "blocks of 16 channels, 16"
    symbols = f"(b * n_parallel, chunks of 64 tokens, n, {channels})"
    require_shapes(
        _OWNER,
        (
            ("dmixed", dmixed, "(b, l, n_parallel * d_model)", tuple(x.tokens.shape)),
            ("states", states, symbols, states_shape(x)),
        ),
        origin="from the operands of the forward pass",
    )


def refusal(x: MambaOperands) -> str | None:
    """Return why the fused kernels cannot take these operands, which are checked, or None if they can."""
    (d_inner, _, d_conv), d_model, n = x.conv.shape, x.in_proj.shape[1], x.A_log.shape[1]
    device = x.tokens.device.type
    if d_inner > LARGEST_D_INNER:
        return f"d_inner = {d_inner} is above {LARGEST_D_INNER}"
    if d_conv > LARGEST_D_CONV:
        return f"d_conv = {d_conv} is above {LARGEST_D_CONV}"
    # The other operands have the same dtype and device, or fail in either way of computing.
    if x.tokens.dtype != torch.float32 or device not in ("cpu", "cuda"):
        return f"{x.tokens.dtype} on {x.tokens.device} is not float32 on a CPU or an NVIDIA GPU"
    on_gpu = (
        ("d_model", d_model, LARGEST_D_MODEL_ON_GPU),
        ("d_conv", d_conv, LARGEST_D_CONV_ON_GPU),
        ("n", n, LARGEST_N_ON_GPU),
    )
    for name, size, largest in on_gpu:
        if device == "cuda" and size > largest:
            return f"{name} = {size} is above {largest}, the largest of the GPU's kernels"
    return None
