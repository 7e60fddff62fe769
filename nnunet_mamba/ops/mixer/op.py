"""What a Mamba block does to its tokens, as one function that fuses small blocks on a CPU and on an NVIDIA GPU.

A small block's own arithmetic is little. On a CPU most of its time goes to writing and reading what lies between its
operators: the fused kernel keeps all of it in the cache. On a GPU it goes to launching them: the fused block is one
launch before its scan and one after it. Both compute what lies between again for the backward pass.
"""

from torch import Tensor

from nnunet_mamba.ops.autocast import without_autocast
from nnunet_mamba.ops.fused_operator import register_fused
from nnunet_mamba.ops.mixer import composed
from nnunet_mamba.ops.mixer.operands import MambaOperands, check_operands, check_saved, new_states, refusal
from nnunet_mamba.ops.operator_registration import Implementation, Operator
from nnunet_mamba.ops.probe import waves


def mamba_mixer(
    tokens: Tensor,
    *,
    in_proj: Tensor,
    conv: Tensor,
    x_proj: Tensor,
    dt_proj: Tensor,
    dt_bias: Tensor,
    A_log: Tensor,
    D: Tensor,
    out_proj: Tensor,
    conv_bias: Tensor | None = None,
    in_bias: Tensor | None = None,
    out_bias: Tensor | None = None,
    n_parallel: int = 1,
    reverse: bool = False,
) -> Tensor:
    """Mix tokens as a Mamba block does; see ``MambaOperands`` for the shapes and ``composed`` for the equations.

    Args:
        tokens: (b, l, n_parallel * d_model), float32 or float64 like all weights.
        in_proj: weight of the layer that gives x and the gate z.
        conv: weight of the causal depthwise convolution.
        x_proj: weight of the layer that gives dt, B and C.
        dt_proj: weight of the layer that gives the step sizes.
        dt_bias: bias of the same layer.
        A_log: logarithm of the state's decay.
        D: skip weight.
        out_proj: weight of the last layer.
        conv_bias: bias of the convolution.
        in_bias: bias of ``in_proj``.
        out_bias: bias of ``out_proj``.
        n_parallel: number of chunks of the tokens' channels; each passes through the same block.
        reverse: read the tokens from the last to the first; each result stays at its token's place.

    Returns:
        (b, l, n_parallel * d_model), contiguous.

    Raises:
        TypeError: an operand is not a dense floating-point tensor, or has another dtype than the tokens.
        ValueError: shapes do not fit together, or devices differ.

    Source:
        Gu and Dao 2023, arXiv:2312.00752.
    """
    tensors = (tokens, in_proj, conv, conv_bias, x_proj, dt_proj, dt_bias, A_log, D, out_proj)
    x = MambaOperands(*tensors, n_parallel, reverse)
    check_operands(x, in_bias, out_bias)
    if in_bias is None and out_bias is None:
        return _mix(x)
    # Autocast would reach the products and undo their float32.
    with without_autocast(tokens.device.type):
        return composed.forward(x, in_bias, out_bias)


def _load(x: MambaOperands) -> Implementation[MambaOperands]:
    if x.tokens.is_cuda:
        from nnunet_mamba.ops.mixer import triton_gpu

        return triton_gpu
    from nnunet_mamba.ops.mixer import numba_cpu

    return numba_cpu


def _probes() -> tuple[MambaOperands, ...]:
    """Return a block of more than one vector of channels and more than one chunk of tokens, in both orders."""

    def numbers(*shape: int, size: float) -> Tensor:
        return waves(*shape, low=-size, high=size).float()

    d_model, d_inner, n, rank = 5, 18, 3, 2
    x = MambaOperands(
        tokens=numbers(1, 70, d_model, size=1),
        in_proj=numbers(2 * d_inner, d_model, size=1),
        conv=numbers(d_inner, 1, 4, size=1),
        conv_bias=numbers(d_inner, size=0.5),
        x_proj=numbers(rank + 2 * n, d_inner, size=0.5),
        dt_proj=numbers(d_inner, rank, size=1),
        dt_bias=numbers(d_inner, size=1),
        A_log=numbers(d_inner, n, size=1),
        D=numbers(d_inner, size=1),
        out_proj=numbers(d_model, d_inner, size=0.5),
    )
    return x, x._replace(reverse=True)


_mix, _probe_failure = register_fused(
    Operator(
        name="mamba_mixer",
        schema="Tensor tokens, Tensor in_proj, Tensor conv, Tensor? conv_bias, Tensor x_proj, Tensor dt_proj, "
        "Tensor dt_bias, Tensor A_log, Tensor D, Tensor out_proj, int n_parallel, bool reverse",
        result="mixed",
        make=MambaOperands._make,
        check=check_operands,
        check_saved=check_saved,
        new_saved=lambda operands: (new_states(operands),),
        load=_load,
        device=("CPU", "CUDA"),
        with_batch=(0,),  # the tokens
    ),
    title="fused Mamba block",
    definition=composed.forward,
    refusal=refusal,
    probes=_probes,
)
