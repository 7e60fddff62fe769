"""The definition of the selective scan, one token at a time, in plain torch: the oracle for every other backend.

    step_t = softplus(delta_t + delta_bias)
    h_t    = exp(step_t A) h_{t-1} + step_t B_t u_t
    y_t    = (C_t h_t + D u_t) SiLU(z_t)

Source:
    Gu and Dao 2023, arXiv:2312.00752, algorithm 2; the gate, bias and softplus are those of the Mamba block around it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from nnunet_mamba.ops.scan.operands import SAVED_EVERY, ScanOperands, state_dtype
from nnunet_mamba.ops.transforms import records_operations

# Above this softplus(x) equals x in float32, and exp(x) would soon overflow.
SOFTPLUS_THRESHOLD = 20.0


class _Trace(NamedTuple):
    """Everything the forward recurrence computes; g groups of k channels, d = g * k."""

    step: Tensor  # (b, g, k, l)
    decay: Tensor  # (l, b, g, k, n), so that one token's numbers lie together
    h: Tensor  # (l, b, g, k, n)
    y: Tensor  # (b, d, l), before the gate


def _step_size(x: ScanOperands) -> Tensor:
    """Return the step size after bias and softplus, (b, d, l)."""
    delta = x.delta if x.delta_bias is None else x.delta + x.delta_bias[:, None]
    if not x.delta_softplus:
        return delta
    return torch.nn.functional.softplus(delta, threshold=SOFTPLUS_THRESHOLD)


def _split(channels: Tensor, dim: int, groups: int) -> Tensor:
    """Split the channels along ``dim`` into (g, k)."""
    return torch.unflatten(channels, dim, (groups, channels.shape[dim] // groups))


def _by_token(tokens_last: Tensor) -> Tensor:
    return tokens_last.movedim(-1, 0).contiguous()


def _trace(x: ScanOperands) -> _Trace:
    groups = x.B.shape[1]
    u = _split(x.u, 1, groups)
    step = _split(_step_size(x), 1, groups)
    decay = torch.exp(_by_token(step)[..., None] * _split(x.A, 0, groups))
    h = _states(decay, _by_token(step * u)[..., None] * _by_token(x.B)[:, :, :, None])
    y = torch.einsum("lbgkn,bgnl->bgkl", h, x.C).flatten(1, 2)
    if x.D is not None:
        y = y + x.D[:, None] * x.u
    return _Trace(step, decay, h, y)


def _states(decay: Tensor, updates: Tensor) -> Tensor:
    """Return h_t = decay_t h_{t-1} + update_t for all t, (l, ...)."""
    if records_operations(updates):
        states = list(updates[:1])
        for token in range(1, updates.shape[0]):
            states.append(decay[token] * states[-1] + updates[token])
        return torch.stack(states) if states else updates
    for token in range(1, updates.shape[0]):
        updates[token] += decay[token] * updates[token - 1]
    return updates


def _gated(trace: _Trace, x: ScanOperands) -> Tensor:
    return trace.y if x.z is None else trace.y * torch.nn.functional.silu(x.z)


def forward(operands: ScanOperands) -> Tensor:
    """Run the scan.

    Returns:
        y, (b, d, l), in the dtype of ``u``; state and sums are kept in float32, or float64 for float64.
    """
    x = operands.to(state_dtype(operands.u.dtype))
    return _gated(_trace(x), x).to(operands.u.dtype)


def forward_saving(operands: ScanOperands) -> tuple[Tensor, Tensor]:
    """Run the scan and keep what a backward pass may start from.

    Returns:
        y as from ``forward``, and the states before tokens 0, 64, 128, ..., (b, ceil(l / 64), n, d), in their dtype.
    """
    x = operands.to(state_dtype(operands.u.dtype))
    trace = _trace(x)
    h = trace.h.flatten(2, 3)  # (l, b, d, n)
    before = torch.cat([torch.zeros_like(h[:1]), h[SAVED_EVERY - 1 : -1 : SAVED_EVERY]])
    return _gated(trace, x).to(operands.u.dtype), before.permute(1, 0, 3, 2)


def _softplus_slope(x: ScanOperands) -> Tensor:
    delta = x.delta if x.delta_bias is None else x.delta + x.delta_bias[:, None]
    return torch.where(delta > SOFTPLUS_THRESHOLD, torch.ones_like(delta), torch.sigmoid(delta))


def backward(dy: Tensor, operands: ScanOperands, states: Tensor | None = None) -> tuple[Tensor | None, ...]:
    """Run the recurrence's adjoint, g_t = C_t dy_t + exp(step_{t+1} A) g_{t+1}, from the last token.

    Written by hand because autograd does not run inside a custom op.

    Args:
        dy: gradient of the output, (b, d, l).
        operands: those of the forward scan.
        states: what ``forward_saving`` returned, or None; not needed here, because all states are computed again.

    Returns:
        One gradient per tensor operand in its shape and dtype, None for an absent one.
    """
    dtype = state_dtype(operands.u.dtype)
    x, dy = operands.to(dtype), dy.to(dtype)
    trace = _trace(x)
    dz = None
    if x.z is not None:
        sigmoid = torch.sigmoid(x.z)
        dz = dy * trace.y * sigmoid * (1 + x.z * (1 - sigmoid))
        dy = dy * x.z * sigmoid

    groups = x.B.shape[1]
    grouped_dy, u = _split(dy, 1, groups), _split(x.u, 1, groups)
    g = _by_token(grouped_dy)[..., None] * _by_token(x.C)[:, :, :, None]
    for token in range(g.shape[0] - 2, -1, -1):
        g[token] += trace.decay[token + 1] * g[token + 1]
    to_exponent = torch.zeros_like(g)  # at the first token no state has decayed yet
    to_exponent[1:] = g[1:] * trace.h[:-1] * trace.decay[1:]
    to_update = torch.einsum("lbgkn,bgnl->bgkl", g, x.B)

    du = (trace.step * to_update).flatten(1, 2)
    if x.D is not None:
        du = du + x.D[:, None] * dy
    ddelta = torch.einsum("lbgkn,gkn->bgkl", to_exponent, _split(x.A, 0, groups)) + u * to_update
    ddelta = ddelta.flatten(1, 2)
    if x.delta_softplus:
        ddelta = ddelta * _softplus_slope(x)
    gradients = (
        du,
        ddelta,
        torch.einsum("lbgkn,bgkl->gkn", to_exponent, trace.step).flatten(0, 1),
        torch.einsum("lbgkn,bgkl->bgnl", g, trace.step * u),
        torch.einsum("bgkl,lbgkn->bgnl", grouped_dy, trace.h),
        None if x.D is None else torch.einsum("bdl,bdl->d", dy, x.u),
        dz,
        None if x.delta_bias is None else ddelta.sum((0, 2)),
    )
    return tuple(
        None if gradient is None or operand is None else gradient.to(operand.dtype)
        for gradient, operand in zip(gradients, operands.tensors, strict=True)
    )
