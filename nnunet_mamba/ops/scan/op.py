"""The scan as one torch operator: torch.compile and torch.export see a single node, never the choice of backend."""

from typing import Any

import torch
from torch import Tensor

from nnunet_mamba.ops.autocast import without_autocast
from nnunet_mamba.ops.batching import register_folding, register_one_by_one
from nnunet_mamba.ops.scan import reference
from nnunet_mamba.ops.scan.backends import choose_backend
from nnunet_mamba.ops.scan.operands import (
    ScanOperands,
    check_grouped,
    check_operands,
    check_saved,
    grouped_alike,
    state_dtype,
    states_shape,
)
from nnunet_mamba.ops.second_derivatives import refuse_second_derivatives
from nnunet_mamba.ops.transforms import (
    function_for_transforms,
    is_differentiated_by_transform,
    is_traced,
    needs_definition,
    refuse_tangents,
)


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> Tensor:
    """Run the selective scan of a Mamba block; names, order and meaning are those of mamba_ssm's selective_scan_fn.

    With step = softplus(delta + delta_bias): h_t = exp(step_t A) h_{t-1} + step_t B_t u_t and
    y_t = (C_t h_t + D u_t) SiLU(z_t).

    Args:
        u: input tokens, (b, d, l).
        delta: step size, (b, d, l).
        A: state decay, (d, n), real; negative for a stable state.
        B: input matrix, (b, n, l), or (b, g, n, l) with group i serving channels i d/g to (i + 1) d/g, or constant in
            time, (d, n).
        C: output matrix, with the shapes of ``B`` but its own number of groups.
        D: skip weight, (d,).
        z: gate, (b, d, l).
        delta_bias: added to ``delta``, (d,).
        delta_softplus: pass the step size through softplus, which is linear above 20.

    Returns:
        y, (b, d, l), contiguous, in the dtype of ``u``; the state and sums are float32, or float64 for float64.

    Raises:
        TypeError: an operand is complex, not floating-point, or mixes float64 with narrower types.
        ValueError: shapes do not fit together, devices differ, or ``$NNUNET_MAMBA_SCAN`` names no backend.
        RuntimeError: the backend that ``$NNUNET_MAMBA_SCAN`` names cannot run here; the text says why.

    Source:
        Gu and Dao 2023, arXiv:2312.00752.
    """
    check_operands(ScanOperands(u, delta, A, B, C, D, z, delta_bias, delta_softplus))
    B, C = grouped_alike(B, C, u.shape[0], u.shape[2])
    if needs_definition(u, delta, A, B, C, D, z, delta_bias):
        with without_autocast(u.device.type):
            return reference.forward(ScanOperands(u, delta, A, B, C, D, z, delta_bias, delta_softplus))
    result: Tensor
    if is_differentiated_by_transform():
        result, _ = _Function.apply(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    elif will_be_differentiated(u, delta, A, B, C, D, z, delta_bias):
        result, _ = torch.ops.nnunet_mamba.selective_scan_saving(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    else:
        result = torch.ops.nnunet_mamba.selective_scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    return result


# torch 2.6 cannot tell exporting from compiling; a compiled training step then only computes its states again.
is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)


def will_be_differentiated(*tensors: Tensor | None) -> bool:
    """Return whether a backward pass may follow that starts from saved states."""
    # An exported or traced graph serves inference; it should not carry the states of a backward pass.
    if not torch.is_grad_enabled() or is_exporting() or is_traced():
        return False
    return any(tensor is not None and tensor.requires_grad for tensor in tensors)


# Not ``torch.library.custom_op``, whose first call imports torch's compiler, which takes a second.
_OPERANDS = (
    "Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, Tensor? delta_bias, "
    "bool delta_softplus"
)
torch.library.define("nnunet_mamba::selective_scan", f"({_OPERANDS}) -> Tensor")
torch.library.define("nnunet_mamba::selective_scan_saving", f"({_OPERANDS}) -> (Tensor, Tensor)")
torch.library.define(
    "nnunet_mamba::selective_scan_backward",
    f"(Tensor dy, Tensor? states, {_OPERANDS}) -> ({', '.join(['Tensor'] * 8)})",
)


def _checked(*given: Any) -> ScanOperands:
    operands = ScanOperands._make(given)
    check_grouped(operands)
    return operands


@torch.library.impl("nnunet_mamba::selective_scan", "default")
def _scan(*given: Any) -> Tensor:
    operands = _checked(*given)
    refuse_tangents("selective_scan", *given)
    # Autocast would reach the operations inside a backend and undo the float32 state.
    with without_autocast(operands.u.device.type):
        return choose_backend(operands.u).load().forward(operands).contiguous()


@torch.library.register_fake("nnunet_mamba::selective_scan")  # type: ignore[untyped-decorator]
def _(*given: Any) -> Tensor:
    u = _checked(*given).u
    return u.new_empty(u.shape)


@torch.library.impl("nnunet_mamba::selective_scan_saving", "default")
def _scan_saving(*given: Any) -> tuple[Tensor, Tensor]:
    """Run the scan and return, beside y, the states that its backward pass starts from."""
    operands = _checked(*given)
    refuse_tangents("selective_scan_saving", *given)
    with without_autocast(operands.u.device.type):
        y, states = choose_backend(operands.u).load().forward_saving(operands)
    return y.contiguous(), states.contiguous()


@torch.library.register_fake("nnunet_mamba::selective_scan_saving")  # type: ignore[untyped-decorator]
def _(*given: Any) -> tuple[Tensor, Tensor]:
    u, _, A, *_ = _checked(*given)
    states = u.new_empty(states_shape(u.shape[0], u.shape[1], u.shape[2], A.shape[1]), dtype=state_dtype(u.dtype))
    return u.new_empty(u.shape), states


@torch.library.impl("nnunet_mamba::selective_scan_backward", "default")
def _scan_backward(dy: Tensor, states: Tensor | None, *given: Any) -> tuple[Tensor, ...]:
    operands = _checked(*given)
    check_saved(dy, states, operands)
    refuse_tangents("selective_scan_backward", dy, states, *given)
    with without_autocast(operands.u.device.type):
        gradients = choose_backend(operands.u).load().backward(dy, operands, states)
    # An operator cannot return None, so the gradient of an absent operand is an empty tensor.
    return tuple(operands.u.new_empty(0) if x is None else x.contiguous() for x in gradients)


@torch.library.register_fake("nnunet_mamba::selective_scan_backward")  # type: ignore[untyped-decorator]
def _(dy: Tensor, states: Tensor | None, *given: Any) -> tuple[Tensor, ...]:
    check_saved(dy, states, _checked(*given))
    *tensors, _ = given
    return tuple(dy.new_empty(0) if x is None else x.new_empty(x.shape) for x in tensors)


def _save_operands(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.delta_softplus = inputs
    ctx.save_for_backward(None, *tensors)


def _save_operands_and_states(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.delta_softplus = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1], *tensors)


_gradients = refuse_second_derivatives("nnunet_mamba::selective_scan_backward")


def _operand_gradients(ctx: Any, dy: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    states, *tensors = ctx.saved_tensors
    gradients = _gradients(dy.contiguous(), states, *tensors, ctx.delta_softplus)
    present = (None if x is None else gradient for x, gradient in zip(tensors, gradients, strict=True))
    return (*present, None)


_Function: Any = function_for_transforms("selective_scan_saving", _save_operands_and_states, _operand_gradients)
torch.library.register_autograd("nnunet_mamba::selective_scan", _operand_gradients, setup_context=_save_operands)
torch.library.register_autograd(
    "nnunet_mamba::selective_scan_saving", _operand_gradients, setup_context=_save_operands_and_states
)
# u, delta, B, C and z begin with the batch.
_WITH_CASES = (0, 1, 3, 4, 6)
register_folding("nnunet_mamba::selective_scan", cases=_WITH_CASES)
register_folding("nnunet_mamba::selective_scan_saving", cases=_WITH_CASES)
register_one_by_one("nnunet_mamba::selective_scan_backward")
