"""A map scanned in several directions, as one function that reads them by index on a CPU.

In torch's operators each direction is a copy of the map in another order, and its step sizes are as large again; the
fused kernel reads the map where it lies, computes the step sizes in the cache and adds the directions up in place.
"""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from nnunet_mamba.ops.autocast import without_autocast
from nnunet_mamba.ops.batching import register_folding, register_one_by_one
from nnunet_mamba.ops.directions import composed
from nnunet_mamba.ops.directions.operands import (
    TENSOR_NAMES,
    CrossScanOperands,
    check_operands,
    check_saved,
    refusal,
    states_shape,
    whole_sizes,
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


def cross_scan(
    u: Tensor,
    *,
    projected: Tensor,
    dt_proj: Tensor,
    dt_bias: Tensor,
    A_logs: Tensor,
    Ds: Tensor,
    spatial: Sequence[int],
) -> Tensor:
    """Scan a map in several directions and sum; see ``CrossScanOperands`` for the shapes.

    Args:
        u: the map's positions, row-major, (b, l, d), float32 or float64 like all weights.
        projected: dt, B and C of every position and direction.
        dt_proj: weight of the layer that gives each direction's step sizes.
        dt_bias: its bias.
        A_logs: logarithm of the states' decay.
        Ds: skip weights.
        spatial: sizes of the map's axes, whose product is l.

    Returns:
        (b, l, d), contiguous.

    Raises:
        TypeError: an operand is no dense floating-point tensor, or has another dtype than ``u``.
        ValueError: shapes do not fit together, or devices differ.

    Source:
        Liu et al. 2024, "VMamba", arXiv:2401.10166.
    """
    tensors = (u, projected, dt_proj, dt_bias, A_logs, Ds)
    x = CrossScanOperands(*tensors, whole_sizes("cross_scan", spatial))
    check_operands(x)
    if is_exporting() or refusal(x) or needs_definition(*tensors) or not _fused_kernels_work():
        # Autocast would reach the products and undo their float32.
        with without_autocast(u.device.type):
            return composed.forward(x)
    y: Tensor
    if is_differentiated_by_transform():
        y, _ = _Function.apply(*x)
    elif will_be_differentiated(*tensors):
        y, _ = torch.ops.nnunet_mamba.cross_scan_saving(*x)
    else:
        y = torch.ops.nnunet_mamba.cross_scan(*x)
    return y


def _fused_kernels_work() -> bool:
    """Return whether the fused kernels may be used: the choice of the scan's backend holds for what contains a scan."""
    return numba_is_chosen() and _probe_failure() is None


@cache
@outside_modes
def _probe_failure() -> str | None:
    """Compare a small fused scan with its definition, gradients included; return how they differ, or None."""
    from nnunet_mamba.ops.directions import numba_cpu

    x = _probe_operands()
    try:
        y, states = numba_cpu.forward_saving(x)
        results = (y, *numba_cpu.backward(x.u.flip(1), x, states))
    except TEST_RUN_ERRORS as error:
        return _refuse(told_failure(error))
    leaves: list[Any] = [operand.double().requires_grad_() for operand in x.tensors]
    exact = composed.forward(CrossScanOperands._make([*leaves, x.spatial]))
    expected = (exact, *torch.autograd.grad(exact, leaves, leaves[0].flip(1)))
    wrong = difference(("y", *TENSOR_NAMES), results, expected)
    return None if wrong is None else _refuse(wrong)


# What torch.compiler.assume_constant_result does; its import of the compiler would cost every process a second.
_fused_kernels_work._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _refuse(reason: str) -> str:
    _logger.info("fused cross scan on cpu: not used, %s", reason)
    return reason


def _probe_operands() -> CrossScanOperands:
    """Return a scan of more than one vector of channels and more than one chunk of tokens."""

    def numbers(*shape: int, size: float) -> Tensor:
        return waves(*shape, low=-size, high=size).float()

    directions, length, d, n, rank = 4, 70, 18, 3, 2
    return CrossScanOperands(
        u=numbers(1, length, d, size=1),
        projected=numbers(1, length, directions, rank + 2 * n, size=1),
        dt_proj=numbers(directions, d, rank, size=1),
        dt_bias=numbers(directions, d, size=1),
        A_logs=numbers(directions * d, n, size=1),
        Ds=numbers(directions * d, size=1),
        spatial=(7, 10),
    )


# Not ``torch.library.custom_op``, whose first call imports torch's compiler, which takes a second.
_OPERANDS = "Tensor u, Tensor projected, Tensor dt_proj, Tensor dt_bias, Tensor A_logs, Tensor Ds, SymInt[] spatial"
torch.library.define("nnunet_mamba::cross_scan", f"({_OPERANDS}) -> Tensor")
torch.library.define("nnunet_mamba::cross_scan_saving", f"({_OPERANDS}) -> (Tensor, Tensor)")
torch.library.define(
    "nnunet_mamba::cross_scan_backward", f"(Tensor dy, Tensor states, {_OPERANDS}) -> ({', '.join(['Tensor'] * 6)})"
)


def _checked(operator: str, given: Sequence[Any]) -> CrossScanOperands:
    """Return the operands of an operator that is about to take their addresses."""
    x = CrossScanOperands._make(given)
    check_operands(x)
    refuse_tangents(operator, *given)
    return x


@torch.library.impl("nnunet_mamba::cross_scan", "CPU")
def _scan(*given: Any) -> Tensor:
    from nnunet_mamba.ops.directions import numba_cpu

    return numba_cpu.forward(_checked("cross_scan", given))


@torch.library.register_fake("nnunet_mamba::cross_scan")  # type: ignore[untyped-decorator]
def _(*given: Any) -> Tensor:
    x = CrossScanOperands._make(given)
    check_operands(x)
    return x.u.new_empty(x.u.shape)


@torch.library.impl("nnunet_mamba::cross_scan_saving", "CPU")
def _scan_saving(*given: Any) -> tuple[Tensor, Tensor]:
    from nnunet_mamba.ops.directions import numba_cpu

    return numba_cpu.forward_saving(_checked("cross_scan_saving", given))


@torch.library.register_fake("nnunet_mamba::cross_scan_saving")  # type: ignore[untyped-decorator]
def _(*given: Any) -> tuple[Tensor, Tensor]:
    x = CrossScanOperands._make(given)
    check_operands(x)
    b, length, d = x.u.shape
    shape = states_shape(b, x.dt_proj.shape[0], length, x.A_logs.shape[1], d)
    return x.u.new_empty(x.u.shape), x.u.new_empty(shape)


@torch.library.impl("nnunet_mamba::cross_scan_backward", "CPU")
def _scan_backward(dy: Tensor, states: Tensor, *given: Any) -> tuple[Tensor, ...]:
    from nnunet_mamba.ops.directions import numba_cpu

    x = _checked("cross_scan_backward", given)
    check_saved(dy, states, x)
    refuse_tangents("cross_scan_backward", dy, states)
    du, dprojected, *of_weights = numba_cpu.backward(dy, x, states)
    # Results of an operator may not share memory.
    return du, dprojected, *(gradient.clone(memory_format=torch.contiguous_format) for gradient in of_weights)


@torch.library.register_fake("nnunet_mamba::cross_scan_backward")  # type: ignore[untyped-decorator]
def _(dy: Tensor, states: Tensor, *given: Any) -> tuple[Tensor, ...]:
    x = CrossScanOperands._make(given)
    check_operands(x)
    check_saved(dy, states, x)
    return tuple(operand.new_empty(operand.shape) for operand in x.tensors)


def _save_operands(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.spatial = inputs
    ctx.save_for_backward(None, *tensors)


def _save_operands_and_states(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.spatial = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1], *tensors)


_gradients = refuse_second_derivatives("nnunet_mamba::cross_scan_backward")


def _operand_gradients(ctx: Any, dy: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    states, *tensors = ctx.saved_tensors
    if states is None:
        _, states = torch.ops.nnunet_mamba.cross_scan_saving(*tensors, ctx.spatial)
    return (*_gradients(dy.contiguous(), states, *tensors, ctx.spatial), None)


_Function: Any = function_for_transforms("cross_scan_saving", _save_operands_and_states, _operand_gradients)
torch.library.register_autograd("nnunet_mamba::cross_scan", _operand_gradients, setup_context=_save_operands)
torch.library.register_autograd(
    "nnunet_mamba::cross_scan_saving", _operand_gradients, setup_context=_save_operands_and_states
)
# u and projected begin with the batch.
register_folding("nnunet_mamba::cross_scan", cases=(0, 1))
register_folding("nnunet_mamba::cross_scan_saving", cases=(0, 1))
register_one_by_one("nnunet_mamba::cross_scan_backward")
