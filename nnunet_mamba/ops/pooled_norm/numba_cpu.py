"""A pooled group norm on a CPU, compiled by numba."""

import math

import torch
from torch import Tensor

from nnunet_mamba.ops.cpu_kernels.kernel_task import KernelTask
from nnunet_mamba.ops.cpu_kernels.sizes import LANES
from nnunet_mamba.ops.pooled_norm.numba_backward import backward_jobs, sums_jobs
from nnunet_mamba.ops.pooled_norm.numba_forward import forward_jobs, moments_jobs
from nnunet_mamba.ops.pooled_norm.numba_layout import PooledNormTask
from nnunet_mamba.ops.pooled_norm.operands import (
    MOST_AXES,
    OWNER,
    TENSOR_NAMES,
    PooledNormOperands,
    new_result,
    new_states,
)

# Numbers of a map that a job reads at least, which take longer than claiming it; and jobs of a case at most, as each
# of them adds up what all have found. Constants, so that results do not depend on the number of threads.
_NUMBERS_OF_A_JOB = 2**15
_MOST_SHARES = 32


def _put_together(channels: int, width: int, step: int) -> int:
    """Return how many pixels of a row the kernels read as one, so that their channels fill the lanes."""
    together = LANES // math.gcd(channels, LANES)
    # Windows of two pixels: neighbouring windows can be told apart lane by lane where they are halves of the lanes.
    fits = width % together == 0 if step == 1 else step == 2 and channels == LANES // 2 and width % 4 == 0
    return together if fits else 1


class _Task(KernelTask):
    def __init__(self, x: PooledNormOperands) -> None:
        b, *spatial, c = x.x.shape
        missing = [1] * (MOST_AXES - len(spatial))
        planes, rows, width = *missing, *spatial
        plane_step, row_step, step = *missing, *x.window
        together = _put_together(c, width, step)
        self.channels = c * together
        self.shares = max(1, min(_MOST_SHARES, math.prod(spatial) * c // _NUMBERS_OF_A_JOB))
        self.n_jobs = b * self.shares
        structure = PooledNormTask(
            cases=b,
            planes=planes,
            rows=rows,
            width=width // together,
            channels=self.channels,
            together=together,
            groups=x.groups,
            plane_step=plane_step,
            row_step=row_step,
            step=step,
            shares=self.shares,
        )
        super().__init__(structure, owner=OWNER)
        self.point(**dict(zip(TENSOR_NAMES, x.tensors, strict=True)))


def _forward(x: PooledNormOperands, states: Tensor | None) -> Tensor:
    y = new_result(x)
    if y.numel():
        task = _Task(x)
        task.point(y=y, statistics=states, eps=x.x.new_tensor([x.eps]))
        task.point(moments=x.x.new_empty(x.x.shape[0], task.shares, 2, task.channels))
        task.run(moments_jobs, task.n_jobs)
        task.run(forward_jobs, task.n_jobs)
    return y


def forward(x: PooledNormOperands) -> Tensor:
    """Normalise and take the maximum of every window: (b, *spatial / window, c)."""
    return _forward(x, None)


def forward_saving(x: PooledNormOperands) -> tuple[Tensor, Tensor]:
    """Do the same and keep mean and 1 / standard deviation of every case's groups, (b, groups, 2)."""
    states = new_states(x)
    return _forward(x, states), states


def backward(dy: Tensor, x: PooledNormOperands, states: Tensor) -> tuple[Tensor, ...]:
    """Find the largest positions again, and compute the gradients of all tensor operands.

    Args:
        dy: gradient of the result, (b, *spatial / window, c).
        x: operands of the forward pass.
        states: those that it saved.
    """
    if not dy.numel():
        return tuple(torch.zeros_like(operand) for operand in x.tensors)
    task = _Task(x)
    gradients = tuple(torch.empty_like(operand, memory_format=torch.contiguous_format) for operand in x.tensors)
    task.point(**dict(zip(("dx", "dweight", "dbias"), gradients, strict=True)))
    task.point(dy=dy, statistics=states, sums=x.x.new_empty(x.x.shape[0], task.shares, 2, task.channels))
    task.run(sums_jobs, task.n_jobs)
    task.run(backward_jobs, task.n_jobs)
    return gradients
