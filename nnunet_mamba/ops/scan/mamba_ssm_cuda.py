"""The scan by mamba_ssm's compiled extension, where it is installed.

mamba_ssm installs without its scan too: only ``selective_scan_cuda`` shows that it is there. The extension adds up
gradients with atomics, so that their last bits differ from run to run. It keeps its states every 2048 tokens, where our
contract has one every 64, so the backward pass runs the forward pass again.

Source:
    github.com/state-spaces/mamba, csrc/selective_scan/selective_scan.cpp: arguments, dtypes and layouts.
"""

from functools import reduce
from typing import Any

import selective_scan_cuda
import torch
from torch import Tensor

from nnunet_mamba.ops.scan import reference
from nnunet_mamba.ops.scan.operands import ScanOperands, states_shape

_MOST_STATES = 256
# The extension computes offsets in unsigned 32-bit integers.
_MOST_NUMBERS = 2**32


def _tokens_together(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return the tensor in ``dtype`` with the tokens of a row next to each other."""
    if tensor is None:
        return None
    tensor = tensor.to(dtype)
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _span(tensor: Tensor) -> int:
    """Return how many numbers lie between a tensor's first and its last one, both counted."""
    return 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def _per_channel(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.to(torch.float32).contiguous()


def _arguments(x: ScanOperands) -> tuple[Any, ...]:
    """Return the tensors as the extension takes them: what has tokens in one dtype, what has none in float32."""
    with_tokens = [tensor for tensor in (x.u, x.delta, x.B, x.C, x.z) if tensor is not None]
    dtype = reduce(torch.promote_types, (tensor.dtype for tensor in with_tokens))
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


def forward(operands: ScanOperands) -> Tensor:
    """Run the scan; see ``reference.forward``."""
    if _is_empty(operands):
        return reference.forward(operands)
    y, _, *gated = _call("fwd", *_arguments(operands), operands.delta_softplus)
    return (gated[0] if gated else y).to(operands.u.dtype)


def forward_saving(operands: ScanOperands) -> tuple[Tensor, Tensor]:
    """Run the scan; the states are NaN, which says that there are none, because ``backward`` needs none."""
    b, d, length = operands.u.shape
    none = torch.full((1,), float("nan"), dtype=torch.float32, device=operands.u.device)
    return forward(operands), none.expand(states_shape(b, d, length, operands.A.shape[1]))


def backward(dy: Tensor, operands: ScanOperands, states: Tensor | None = None) -> tuple[Tensor | None, ...]:
    """Run the scan again and then the extension's backward pass; see ``reference.backward``."""
    if _is_empty(operands):
        return reference.backward(dy, operands)
    arguments = _arguments(operands)
    u, z = arguments[0], arguments[6]
    y, extension_states, *_ = _call("fwd", *arguments, operands.delta_softplus)
    du, ddelta, dA, dB, dC, dD, dbias, *rest = _call(
        "bwd",
        *arguments,
        _tokens_together(dy, u.dtype),
        extension_states,
        None if z is None else y,
        None,  # memory for dz, which it allocates
        operands.delta_softplus,
        False,  # no gated output again
    )
    gradients = (du, ddelta, dA, dB, dC, dD, rest[0] if rest else None, dbias)
    return tuple(
        None if operand is None or gradient is None else gradient.to(operand.dtype)
        for operand, gradient in zip(operands.tensors, gradients, strict=True)
    )
