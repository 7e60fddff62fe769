"""What a Mamba block does to its tokens, as one function that fuses small blocks on a CPU.

A small block's own arithmetic is little, and most of its time goes to writing and reading what lies between its
operators. The fused kernel keeps all of it in the cache and computes it again for the backward pass.
"""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from nnunet_mamba.ops.autocast import without_autocast
from nnunet_mamba.ops.batching import register_folding, register_one_by_one
from nnunet_mamba.ops.mixer import composed
from nnunet_mamba.ops.mixer.operands import (
    TENSOR_NAMES,
    MambaOperands,
    check_operands,
    check_saved,
    refusal,
    states_shape,
)
from nnunet_mamba.ops.probe import TEST_RUN_ERRORS, difference, outside_modes, told_failure, waves
from nnunet_mamba.ops.scan.backends import numba_is_chosen
from nnunet_mamba.ops.scan.op import is_exporting, will_be_differentiated
from nnunet_mamba.ops.second_derivatives import refuse_second_derivatives
from nnunet_mamba.ops.transforms import (
    function_for_transforms,
    is_differentiated_by_transform,
    needs_definition,
    refuse_tangents,
)

_logger = logging.getLogger(__name__)


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
        TypeError: an operand is no dense floating-point tensor, or has another dtype than the tokens.
        ValueError: shapes do not fit together, or devices differ.

    Source:
        Gu and Dao 2023, arXiv:2312.00752.
    """
    tensors = (tokens, in_proj, conv, conv_bias, x_proj, dt_proj, dt_bias, A_log, D, out_proj)
    x = MambaOperands(*tensors, n_parallel, reverse)
    check_operands(x, in_bias, out_bias)
    if (
        in_bias is not None
        or out_bias is not None
        or is_exporting()
        or refusal(x)
        or needs_definition(*tensors)
        or not _fused_kernels_work()
    ):
        # Autocast would reach the products and undo their float32.
        with without_autocast(tokens.device.type):
            return composed.forward(x, in_bias, out_bias)
    mixed: Tensor
    if is_differentiated_by_transform():
        mixed, _ = _Function.apply(*x)
    elif will_be_differentiated(*tensors):
        mixed, _ = torch.ops.nnunet_mamba.mamba_mixer_saving(*x)
    else:
        mixed = torch.ops.nnunet_mamba.mamba_mixer(*x)
    return mixed


def _fused_kernels_work() -> bool:
    """Return whether the fused kernels may be used: the choice of the scan's backend holds for what contains a scan."""
    return numba_is_chosen() and _probe_failure() is None


@cache
@outside_modes
def _probe_failure() -> str | None:
    """Compare a small fused block with its definition, in both orders of the tokens; return what is wrong, or None."""
    for reverse in (False, True):
        if wrong := _test_run(_probe_operands()._replace(reverse=reverse)):
            _logger.info("fused Mamba block on cpu: not used, %s", wrong)
            return wrong
    return None


def _test_run(x: MambaOperands) -> str | None:
    """Return how the fused block or its gradients differ from the definition, or None."""
    from nnunet_mamba.ops.mixer import numba_cpu

    try:
        mixed, states = numba_cpu.forward_saving(x)
        results = (mixed, *numba_cpu.backward(x.tokens.flip(1), x, states))
    except TEST_RUN_ERRORS as error:
        return told_failure(error)
    leaves: list[Any] = [operand.double().requires_grad_() for operand in x.tensors if operand is not None]
    exact = composed.forward(MambaOperands._make([*leaves, x.n_parallel, x.reverse]))
    expected = (exact, *torch.autograd.grad(exact, leaves, leaves[0].flip(1)))
    return difference(("mixed", *TENSOR_NAMES), results, expected)


# What torch.compiler.assume_constant_result does; its import of the compiler would cost every process a second.
_fused_kernels_work._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _probe_operands() -> MambaOperands:
    """Return a block of more than one vector of channels and more than one chunk of tokens."""

    def numbers(*shape: int, size: float) -> Tensor:
        return waves(*shape, low=-size, high=size).float()

    d_model, d_inner, n, rank = 5, 18, 3, 2
    return MambaOperands(
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


# Not ``torch.library.custom_op``, whose first call imports torch's compiler, which takes a second.
_OPERANDS = (
    "Tensor tokens, Tensor in_proj, Tensor conv, Tensor? conv_bias, Tensor x_proj, Tensor dt_proj, Tensor dt_bias, "
    "Tensor A_log, Tensor D, Tensor out_proj, int n_parallel, bool reverse"
)
torch.library.define("nnunet_mamba::mamba_mixer", f"({_OPERANDS}) -> Tensor")
torch.library.define("nnunet_mamba::mamba_mixer_saving", f"({_OPERANDS}) -> (Tensor, Tensor)")
torch.library.define(
    "nnunet_mamba::mamba_mixer_backward",
    f"(Tensor dmixed, Tensor states, {_OPERANDS}) -> ({', '.join(['Tensor'] * 10)})",
)


def _checked(operator: str, given: Sequence[Any]) -> MambaOperands:
    """Return the operands of an operator that is about to take their addresses."""
    x = MambaOperands._make(given)
    check_operands(x)
    refuse_tangents(operator, *given)
    return x


@torch.library.impl("nnunet_mamba::mamba_mixer", "CPU")
def _mix(*given: Any) -> Tensor:
    from nnunet_mamba.ops.mixer import numba_cpu

    return numba_cpu.forward(_checked("mamba_mixer", given))


@torch.library.register_fake("nnunet_mamba::mamba_mixer")  # type: ignore[untyped-decorator]
def _(*given: Any) -> Tensor:
    x = MambaOperands._make(given)
    check_operands(x)
    return x.tokens.new_empty(x.tokens.shape)


@torch.library.impl("nnunet_mamba::mamba_mixer_saving", "CPU")
def _mix_saving(*given: Any) -> tuple[Tensor, Tensor]:
    from nnunet_mamba.ops.mixer import numba_cpu

    return numba_cpu.forward_saving(_checked("mamba_mixer_saving", given))


@torch.library.register_fake("nnunet_mamba::mamba_mixer_saving")  # type: ignore[untyped-decorator]
def _(*given: Any) -> tuple[Tensor, Tensor]:
    x = MambaOperands._make(given)
    check_operands(x)
    b, length, _ = x.tokens.shape
    shape = states_shape(b, length, x.n_parallel, x.A_log.shape[0], x.A_log.shape[1])
    return x.tokens.new_empty(x.tokens.shape), x.tokens.new_empty(shape)


@torch.library.impl("nnunet_mamba::mamba_mixer_backward", "CPU")
def _mix_backward(dmixed: Tensor, states: Tensor, *given: Any) -> tuple[Tensor, ...]:
    from nnunet_mamba.ops.mixer import numba_cpu

    x = _checked("mamba_mixer_backward", given)
    check_saved(dmixed, states, x)
    refuse_tangents("mamba_mixer_backward", dmixed, states)
    gradients = numba_cpu.backward(dmixed, x, states)
    # An operator cannot return None, so the gradient of an absent operand is an empty tensor; nor may results share
    # memory.
    dtokens, *of_weights = (dmixed.new_empty(0) if gradient is None else gradient for gradient in gradients)
    return dtokens, *(gradient.clone(memory_format=torch.contiguous_format) for gradient in of_weights)


@torch.library.register_fake("nnunet_mamba::mamba_mixer_backward")  # type: ignore[untyped-decorator]
def _(dmixed: Tensor, states: Tensor, *given: Any) -> tuple[Tensor, ...]:
    x = MambaOperands._make(given)
    check_operands(x)
    check_saved(dmixed, states, x)
    *tensors, _, _ = given
    return tuple(dmixed.new_empty(0) if x is None else x.new_empty(x.shape) for x in tensors)


def _save_operands(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.n_parallel, ctx.reverse = inputs
    ctx.save_for_backward(None, *tensors)


def _save_operands_and_states(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.n_parallel, ctx.reverse = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1], *tensors)


_gradients = refuse_second_derivatives("nnunet_mamba::mamba_mixer_backward")


def _operand_gradients(ctx: Any, dmixed: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    states, *tensors = ctx.saved_tensors
    given = (*tensors, ctx.n_parallel, ctx.reverse)
    if states is None:
        _, states = torch.ops.nnunet_mamba.mamba_mixer_saving(*given)
    gradients = _gradients(dmixed.contiguous(), states, *given)
    present = (None if x is None else gradient for x, gradient in zip(tensors, gradients, strict=True))
    return (*present, None, None)


_Function: Any = function_for_transforms("mamba_mixer_saving", _save_operands_and_states, _operand_gradients)
torch.library.register_autograd("nnunet_mamba::mamba_mixer", _operand_gradients, setup_context=_save_operands)
torch.library.register_autograd(
    "nnunet_mamba::mamba_mixer_saving", _operand_gradients, setup_context=_save_operands_and_states
)
register_folding("nnunet_mamba::mamba_mixer", cases=(0,))
register_folding("nnunet_mamba::mamba_mixer_saving", cases=(0,))
register_one_by_one("nnunet_mamba::mamba_mixer_backward")
