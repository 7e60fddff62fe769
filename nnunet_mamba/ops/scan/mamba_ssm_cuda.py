"""The scan by mamba_ssm's compiled extension, where it is installed.

mamba_ssm installs without its scan too: only ``selective_scan_cuda`` shows that it is there. The extension adds up
gradients with atomics, so that their last bits differ from run to run. For its backward pass it saves what its own
Python code does: the states every 2048 tokens, and y before the gate.

Source:
    github.com/state-spaces/mamba, csrc/selective_scan/selective_scan.cpp: arguments, dtypes and layouts.
"""

from functools import reduce
from typing import Any

import selective_scan_cuda
import torch
from torch import Tensor

from nnunet_mamba.ops.scan import reference
from nnunet_mamba.ops.scan.operands import SavedKind, SavedKinds, ScanOperands, new_saved, nothing_saved

_MOST_STATES = 256
_TOKENS_OF_A_CHUNK = 2048
# The extension computes offsets in unsigned 32-bit integers.
_MOST_NUMBERS = 2**32


def _tokens_together(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return the tensor in ``dtype`` with the tokens of a row next to each other."""
    if tensor is None:
        return None
    tensor = tensor.to(dtype)
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _token_dtype(x: ScanOperands) -> torch.dtype:
    """Return the dtype to which all that has tokens is brought."""
    with_tokens = [tensor for tensor in (x.u, x.delta, x.B, x.C, x.z) if tensor is not None]
    return reduce(torch.promote_types, (tensor.dtype for tensor in with_tokens))


def _span(tensor: Tensor) -> int:
    """Return how many numbers lie between a tensor's first and its last one, both counted."""
    return 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def _per_channel(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.to(torch.float32).contiguous()


def _arguments(x: ScanOperands) -> tuple[Any, ...]:
    """Return the tensors as the extension takes them: what has tokens in one dtype, what has none in float32."""
    dtype = _token_dtype(x)
    u, delta, B, C, z = (_tokens_together(tensor, dtype) for tensor in (x.u, x.delta, x.B, x.C, x.z))
    span = max(_span(tensor) for tensor in (u, delta, B, C, z) if tensor is not None)
    if x.A.shape[1] > _MOST_STATES or span > _MOST_NUMBERS:
        raise RuntimeError(
            f"selective_scan_cuda takes at most {_MOST_STATES} states and tensors that span {_MOST_NUMBERS} numbers, "
            f"found {x.A.shape[1]} and {span}; set NNUNET_MAMBA_SCAN=triton_gpu"
        )
    return u, delta, _per_channel(x.A), B, C, _per_channel(x.D), z, _per_channel(x.delta_bias)


def _call(name: str, *arguments: Any) -> list[Tensor]:
    try:
        results: list[Tensor] = getattr(selective_scan_cuda, name)(*arguments)
    except TypeError as error:
        raise RuntimeError(
            f"selective_scan_cuda.{name} does not take the arguments of mamba_ssm's own; install mamba_ssm again, or "
            f"set NNUNET_MAMBA_SCAN=triton_gpu: {error}"
        ) from error
    return results


def _is_empty(x: ScanOperands) -> bool:
    return not x.u.numel() or not x.A.numel()


def saved_kinds(x: ScanOperands) -> SavedKinds:
    """Return what ``forward_saving`` saves: states, (b, d, chunks of 2048 tokens, 2n), and y before the gate."""
    b, d, length = x.u.shape
    states = SavedKind((b, d, -(-length // _TOKENS_OF_A_CHUNK), 2 * x.A.shape[1]), torch.float32)
    return SavedKinds(states, nothing_saved(x) if x.z is None else SavedKind((b, d, length), _token_dtype(x)))


def forward(operands: ScanOperands) -> Tensor:
    """Run the scan; see ``reference.forward``."""
    return forward_saving(operands)[0]


def forward_saving(operands: ScanOperands) -> tuple[Tensor, ...]:
    """Run the scan and keep what the backward pass needs, see ``saved_kinds``."""
    if _is_empty(operands):
        # Nobody reads what is saved of nothing.
        return reference.forward(operands), *new_saved(operands, saved_kinds(operands))
    y, states, *gated = _call("fwd", *_arguments(operands), operands.delta_softplus)
    if gated:
        return gated[0].to(operands.u.dtype), states, y
    nothing = nothing_saved(operands)
    return y.to(operands.u.dtype), states, y.new_empty(nothing.shape, dtype=nothing.dtype)


def backward(
    dy: Tensor, operands: ScanOperands, states: Tensor | None = None, ungated: Tensor | None = None
) -> tuple[Tensor | None, ...]:
    """Run the extension's backward pass from what ``forward_saving`` has saved; see ``reference.backward``."""
    if _is_empty(operands):
        return reference.backward(dy, operands)
    if states is None or ungated is None:
        _, states, ungated = forward_saving(operands)
    arguments = _arguments(operands)
    u, z = arguments[0], arguments[6]
    du, ddelta, dA, dB, dC, dD, dbias, *rest = _call(
        "bwd",
        *arguments,
        _tokens_together(dy, u.dtype),
        states,
        None if z is None else ungated,
        None,  # memory for dz, which it allocates
        operands.delta_softplus,
        False,  # no gated output again
    )
    gradients = (du, ddelta, dA, dB, dC, dD, rest[0] if rest else None, dbias)
    return tuple(
        None if operand is None or gradient is None else gradient.to(operand.dtype)
        for operand, gradient in zip(operands.tensors, gradients, strict=True)
    )
