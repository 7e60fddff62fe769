"""The cross scan on a CPU, compiled by numba."""

import torch
from torch import Tensor

from nnunet_mamba.ops.cpu_kernels.kernel_task import KernelTask, own_copy
from nnunet_mamba.ops.cpu_kernels.sizes import LANES
from nnunet_mamba.ops.directions.numba_backward import backward_jobs
from nnunet_mamba.ops.directions.numba_forward import forward_jobs
from nnunet_mamba.ops.directions.numba_layout import CrossScanTask
from nnunet_mamba.ops.directions.operands import TENSOR_NAMES, CrossScanOperands, new_states
from nnunet_mamba.ops.directions.scan_order import positions

# Jobs that a scan is divided into at least, if it has as many blocks; a constant, so that results do not depend on the
# number of threads.
_JOBS = 4


class _Task(KernelTask):
    def __init__(self, x: CrossScanOperands) -> None:
        (b, length, d), (directions, _, rank) = x.u.shape, x.dt_proj.shape
        self.shares = max(1, min(-(-d // LANES), -(-_JOBS // max(1, b))))
        self.n_jobs = b * self.shares
        structure = CrossScanTask(
            cases=b,
            length=length,
            channels=d,
            directions=directions,
            dt_rank=rank,
            d_state=x.A_logs.shape[1],
            shares=self.shares,
        )
        super().__init__(structure, owner="cross_scan")
        self.point(**dict(zip(TENSOR_NAMES, x.tensors, strict=True)))
        self.point_to_integers(order=positions(*x.spatial))


def _forward(x: CrossScanOperands, states: Tensor | None) -> Tensor:
    y = torch.empty_like(x.u, memory_format=torch.contiguous_format)
    if y.numel():
        task = _Task(x)
        task.point(y=y, states=states)
        task.run(forward_jobs, task.n_jobs)
    return y


def forward(x: CrossScanOperands) -> Tensor:
    """Scan in all directions and sum: (b, l, d)."""
    return _forward(x, None)


def forward_saving(x: CrossScanOperands) -> tuple[Tensor, Tensor]:
    """Scan and keep the states that the backward pass starts from, see ``states_shape``."""
    states = new_states(x)
    return _forward(x, states), states


def backward(dy: Tensor, x: CrossScanOperands, states: Tensor) -> tuple[Tensor, ...]:
    """Compute the states again, chunk by chunk, and the gradients of all tensor operands.

    Args:
        dy: gradient of the result, (b, l, d).
        x: operands of the forward scan.
        states: those that it saved.
    """
    if not dy.numel():
        return tuple(torch.zeros_like(operand) for operand in x.tensors)
    (b, _, d), (directions, _, rank), n = x.u.shape, x.dt_proj.shape, x.A_logs.shape[1]
    task = _Task(x)
    du = torch.empty_like(x.u, memory_format=torch.contiguous_format)
    copies = () if task.shares == 1 else (task.shares,)
    dprojected = x.u.new_empty(*copies, *x.projected.shape)
    sums = x.u.new_empty(b, directions, rank + 1 + n + 1, d)
    task.point(dy=dy, states=states, du=du, dprojected=dprojected, sums=sums)
    task.run(backward_jobs, task.n_jobs)
    dt_proj, dt_bias, A, D = sums.sum(0).split_with_sizes([rank, 1, n, 1], dim=1)  # (K, ..., d)
    return (
        du,
        dprojected.sum(0) if copies else dprojected,
        own_copy(dt_proj.mT),
        own_copy(dt_bias[:, 0]),
        A.mT.flatten(0, 1) * -torch.exp(x.A_logs),
        own_copy(D.flatten()),
    )
