"""The cross scan on an NVIDIA GPU, compiled by Triton: the map is read in four directions where it lies."""

import torch
from torch import Tensor

from nnunet_mamba.ops.directions.operands import CrossScanOperands, new_states
from nnunet_mamba.ops.directions.triton_backward import cross_backward_kernel
from nnunet_mamba.ops.directions.triton_forward import cross_ends_kernel, cross_forward_kernel
from nnunet_mamba.ops.directions.triton_plan import cross_backward_plan, cross_forward_plan, fitting_tile
from nnunet_mamba.ops.scan.operands import SAVED_EVERY
from nnunet_mamba.ops.scan.triton_gpu import OPTIONS, launching, n_multiprocessors
from nnunet_mamba.ops.scan.triton_plan import Plan, Sizes, forward_plan
from nnunet_mamba.ops.scan.triton_segments import carry_kernel


def _sizes(x: CrossScanOperands) -> Sizes:
    """Return the sizes of a scan whose batch entries are the directions."""
    (b, length, d), n = x.u.shape, x.A_logs.shape[1]
    return Sizes(b * x.dt_proj.shape[0], d, length, n, 1, x.u.element_size())


def _sums(x: CrossScanOperands, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=x.u.device)


def _kernel_tensors(x: CrossScanOperands) -> tuple[Tensor, ...]:
    """Return u, projected, dt_proj, dt_bias, A and D as the kernels read them."""
    u, projected, dt_proj, dt_bias, A_logs, Ds = (tensor.contiguous() for tensor in x.tensors)
    return u, projected, dt_proj, dt_bias, -torch.exp(A_logs), Ds


def _shape(x: CrossScanOperands, plan: Plan) -> tuple[int, ...]:
    height, width = x.spatial
    return x.u.shape[2], height, width, plan.segment_length


def _widths(x: CrossScanOperands) -> tuple[int, int, int]:
    """Return dt_rank, n, and the power of two that holds dt_rank."""
    rank = x.dt_proj.shape[2]
    return rank, x.A_logs.shape[1], 1 << (rank - 1).bit_length()


def _carries(x: CrossScanOperands, tensors: tuple[Tensor, ...], plan: Plan, dy: Tensor | None = None) -> Tensor | None:
    """Return the states that the segments start from, (b, segments, n, K d), or None for a single segment.

    With ``dy``, (b, l, d), they are those of the adjoint, after the last token of each segment.
    """
    if plan.n_segments == 1:
        return None
    (b, _, d), (directions, _, _) = x.u.shape, x.dt_proj.shape
    rank, n, R = _widths(x)
    plan = forward_plan(_sizes(x), n_multiprocessors(x.u.device), plan.segment_length)
    ends, steps = (_sums(x, b, plan.n_segments, *sizes, directions * d) for sizes in ((n,), ()))
    u, projected, dt_proj, dt_bias, A, _ = tensors
    cross_ends_kernel[(plan.n_programs,)](
        *(u if dy is None else dy, projected, dt_proj, dt_bias, A, ends, steps),
        *(*_shape(x, plan), rank, n, R, dy is not None),
        **vars(fitting_tile(plan.tile, x.spatial)),
        STAGES=plan.stages,
        **OPTIONS,
    )
    D = max(1, 256 // plan.tile.N)
    carry_kernel[(b * -(-directions * d // D),)](
        *(ends, steps, A, directions * d, plan.n_segments, n, dy is not None, plan.tile.N, D), **OPTIONS
    )
    return ends


def _scan(x: CrossScanOperands, states: Tensor | None) -> Tensor:
    """Return y, and fill ``states`` unless it is None."""
    (b, length, d), directions = x.u.shape, x.dt_proj.shape[0]
    if not x.u.numel():
        return torch.empty_like(x.u, memory_format=torch.contiguous_format)
    with launching(x.u, "cross scan"):
        plan, n_shares = cross_forward_plan(_sizes(x), n_multiprocessors(x.u.device), directions)
        tensors = _kernel_tensors(x)
        y = _sums(x, n_shares, b, length, d)
        cross_forward_kernel[(plan.n_programs,)](
            *(*tensors, _carries(x, tensors, plan), y, states),
            *(*_shape(x, plan), b, n_shares, *_widths(x)),
            **vars(fitting_tile(plan.tile, x.spatial)),
            STAGES=plan.stages,
            **OPTIONS,
        )
    return y[0] if n_shares == 1 else y.sum(0)


def forward(x: CrossScanOperands) -> Tensor:
    """Scan in all directions and sum: (b, l, d)."""
    return _scan(x, None)


def forward_saving(x: CrossScanOperands) -> tuple[Tensor, Tensor]:
    """Scan and keep the states that the backward pass starts from, see ``states_shape``."""
    states = new_states(x)
    return _scan(x, states), states


def backward(dy: Tensor, x: CrossScanOperands, states: Tensor) -> tuple[Tensor, ...]:
    """Compute the states again from the saved ones, and the gradients of all tensor operands.

    Args:
        dy: gradient of the result, (b, l, d).
        x: operands of the forward scan.
        states: those that it saved.
    """
    if not dy.numel():
        return tuple(torch.zeros_like(operand) for operand in x.tensors)
    (b, length, d), (directions, _, _) = x.u.shape, x.dt_proj.shape
    rank, n, R = _widths(x)
    with launching(x.u, "cross scan"):
        plan = cross_backward_plan(_sizes(x), n_multiprocessors(x.u.device))
        tile = fitting_tile(plan.tile, x.spatial)
        tensors = _kernel_tensors(x)
        dy, n_entries = dy.contiguous(), b * plan.n_segments
        du, ddelta = _sums(x, directions, b, length, d), _sums(x, directions, b, length, d)
        dBC = _sums(x, plan.n_buffers, b, length, directions, 2 * n)
        dA, dD, dbias = (_sums(x, n_entries, directions * d, *sizes) for sizes in ((n,), (), ()))
        notes = _sums(x, plan.n_programs, SAVED_EVERY // tile.T, tile.N * tile.channels)
        cross_backward_kernel[(plan.n_programs,)](
            *(*tensors, dy, states.contiguous(), _carries(x, tensors, plan, dy), notes),
            *(du, ddelta, dA, dBC, dD, dbias),
            *(*_shape(x, plan), b, plan.n_items, plan.n_buffers, rank, n, R),
            PADDED=bool(length % tile.T or d % tile.channels),
            **vars(tile),
            **OPTIONS,
        )
    return _gradients(x, du, ddelta, dBC, dA * tensors[4], dD, dbias)


def _gradients(
    x: CrossScanOperands, du: Tensor, ddelta: Tensor, dBC: Tensor, dA_logs: Tensor, dD: Tensor, dbias: Tensor
) -> tuple[Tensor, ...]:
    """Sum what the kernel has left apart, and go from step sizes back to dt and its weights."""
    (b, length, d), (directions, _, rank) = x.u.shape, x.dt_proj.shape
    ddelta = ddelta.flatten(1, 2)  # (K, b l, d)
    dt = x.projected[..., :rank].permute(2, 0, 1, 3).reshape(directions, b * length, rank)
    ddt = torch.bmm(ddelta, x.dt_proj).view(directions, b, length, rank).permute(1, 2, 0, 3)
    return (
        du.sum(0),
        torch.cat([ddt, dBC.sum(0)], dim=3),
        torch.bmm(ddelta.mT, dt),
        dbias.sum(0).view(directions, d),
        dA_logs.sum(0),
        dD.sum(0),
    )
