"""What our operators cost in floating-point operations, for torch's ``FlopCounterMode``: 2 per multiply-add.

A scan costs 9 b d l n, as the field counts it, nine for every state and token, and b d l more for each of the skip D u
and the gate. A fused operator costs what the operators that define it would: a norm with its pooling costs nothing, as
torch counts neither. A backward pass costs twice its forward pass, as torch counts it for matrix products.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

# The operators have to exist before they can be looked up.
import nnunet_mamba.ops  # noqa: F401
from nnunet_mamba.ops.directions.operands import CrossScanOperands
from nnunet_mamba.ops.few_maps.operands import FewMapOperands
from nnunet_mamba.ops.mixer.operands import MambaOperands
from nnunet_mamba.ops.scan.operands import ScanOperands

FLOPS_PER_STATE = 9

Formula = Callable[..., int]


def flop_counter() -> FlopCounterMode:
    """Return a silent counter that knows our operators, and puts right what torch's own formulas leave out.

    These let every channel of a grouped convolution's weight meet every other in its gradient, and miss the attention
    that torch has fused for CPUs. A process's first scans test their kernels in a thread of their own, which a counter
    does not see.
    """
    register_formulas()
    aten = torch.ops.aten
    ours: dict[Any, Formula] = {
        aten.convolution_backward: _convolution_backward,
        aten._scaled_dot_product_flash_attention_for_cpu: _attention,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    }
    return FlopCounterMode(display=False, custom_mapping=ours)


@cache
def register_formulas() -> None:
    """Let every ``FlopCounterMode`` that is made from here on know our operators."""
    ours = torch.ops.nnunet_mamba
    formulas: dict[str, Formula] = {
        "selective_scan": _scan,
        "mamba_mixer": _mixer,
        "cross_scan": _cross_scan,
        "few_map_convolution": _few_maps,
    }
    for name, formula in formulas.items():
        register_flop_formula((getattr(ours, name), getattr(ours, f"{name}_saving")), get_raw=True)(formula)
        backward = getattr(ours, f"{name}_backward")
        register_flop_formula(backward, get_raw=True)(_backward_of(formula, backward.default))


def _scan(*operands: Any, **_: Any) -> int:
    x = ScanOperands._make(operands)
    b, d, length = x.u.shape
    return _scan_flops(b, d, length, x.A.shape[1], has_skip=x.D is not None, has_gate=x.z is not None)


def _scan_flops(b: int, d: int, length: int, n: int, *, has_skip: bool, has_gate: bool) -> int:
    return b * d * length * (FLOPS_PER_STATE * n + has_skip + has_gate)


def _mixer(*operands: Any, **_: Any) -> int:
    x = MambaOperands._make(operands)
    b, length = x.tokens.shape[0] * x.n_parallel, x.tokens.shape[1]
    d_inner, _one, d_conv = x.conv.shape
    products = b * length * sum(weight.numel() for weight in (x.in_proj, x.x_proj, x.dt_proj, x.out_proj))
    # The definition pads both ends and drops what the right one adds.
    convolution = b * (length + d_conv - 1) * x.conv.numel()
    scan = _scan_flops(b, d_inner, length, x.A_log.shape[1], has_skip=True, has_gate=True)
    return 2 * (products + convolution) + scan


def _cross_scan(*operands: Any, **_: Any) -> int:
    x = CrossScanOperands._make(operands)
    b, length, d = x.u.shape
    directions, n = x.dt_proj.shape[0], x.A_logs.shape[1]
    scan = _scan_flops(b, directions * d, length, n, has_skip=True, has_gate=False)
    return 2 * b * length * x.dt_proj.numel() + scan


def _few_maps(*operands: Any, **_: Any) -> int:
    x = FewMapOperands._make(operands)
    b, _channels, height, width = x.x.shape
    return 2 * b * height * width * x.weight.numel()


def _attention(query: Sequence[int], key: Sequence[int], *_operands: Any, **_: Any) -> int:
    *several, n_queries, d_head = query
    return 2 * 2 * math.prod(several) * n_queries * key[-2] * d_head


def _attention_backward(dy: Sequence[int], *operands: Any, **_: Any) -> int:
    return 2 * _attention(*operands)


def _backward_of(formula: Formula, operator: Any) -> Formula:
    """Return the formula of a backward pass, whose operands follow its gradient and what was saved."""
    # Every tensor among the operands has a gradient; those before them are not the operands.
    n_tensors = sum("Tensor" in str(argument.type) for argument in operator._schema.arguments)
    n_before = n_tensors - len(operator._schema.returns)

    def backward(*given: Any, **_: Any) -> int:
        return 2 * formula(*given[n_before:])

    return backward


def _convolution_backward(dy: Sequence[int], x: Sequence[int], weight: Sequence[int], *options: Any, **_: Any) -> int:
    is_transposed: bool = options[4]
    is_wanted: Sequence[bool] = options[7]
    positions = (x if is_transposed else dy)[2:]
    # The gradients of input and weight cost a forward pass each; the third, the bias's, is a mere sum.
    return 2 * x[0] * math.prod(positions) * math.prod(weight) * sum(is_wanted[:2])
