"""A convolution from few channels to few on a CPU, compiled by numba."""

import torch
from torch import Tensor
from torch.nn import functional

from nnunet_mamba.ops.cpu_kernels.kernel_task import KernelTask
from nnunet_mamba.ops.cpu_kernels.sizes import LANES
from nnunet_mamba.ops.few_maps.numba_loops import ConvolutionTask, convolution_jobs, weight_gradient_jobs
from nnunet_mamba.ops.few_maps.operands import OWNER, FewMapOperands, margins, new_states

# Rows of a map that a job computes at least; a constant, so that results do not depend on the number of threads.
_ROWS_OF_A_JOB = 16


class _Task(KernelTask):
    """Convolve ``padded``, (b, c_in, rows, columns), with ``weight``, (c_out, c_in, kh, kw), to maps of a size."""

    def __init__(self, padded: Tensor, weight: Tensor, dilation: int, height: int, width: int) -> None:
        self.shares = max(1, height // _ROWS_OF_A_JOB)
        self.n_jobs = padded.shape[0] * self.shares
        structure = ConvolutionTask(
            cases=padded.shape[0],
            inputs=padded.shape[1],
            outputs=weight.shape[0],
            height=height,
            width=width,
            padded_height=padded.shape[2],
            padded_width=padded.shape[3],
            tap_rows=weight.shape[2],
            tap_columns=weight.shape[3],
            dilation=dilation,
            shares=self.shares,
        )
        super().__init__(structure, owner=OWNER)
        self.point(x=padded, weight=weight)


def _padded(maps: Tensor, x: FewMapOperands) -> Tensor:
    """Surround maps with zeros: the margins, and whole rows of lanes."""
    rows, columns = margins(x)
    missing = -maps.shape[3] % LANES
    return functional.pad(maps, (columns, columns + missing, rows, rows))


def _convolve(padded: Tensor, weight: Tensor, bias: Tensor | None, x: FewMapOperands) -> Tensor:
    b, _, height, width = x.x.shape
    y = padded.new_empty(b, weight.shape[0], height, width)
    task = _Task(padded, weight, x.dilation, height, width)
    task.point(y=y, bias=bias)
    task.run(convolution_jobs, task.n_jobs)
    return y


def _forward(x: FewMapOperands) -> Tensor:
    if not x.x.numel():
        return x.x.new_empty(x.x.shape[0], x.weight.shape[0], *x.x.shape[2:])
    return _convolve(_padded(x.x, x), x.weight, x.bias, x)


def forward(x: FewMapOperands) -> Tensor:
    """Convolve: (b, c_out, h, w)."""
    return _forward(x)


def forward_saving(x: FewMapOperands) -> tuple[Tensor, Tensor]:
    """Convolve; there are no states."""
    return _forward(x), new_states(x)


def backward(dy: Tensor, x: FewMapOperands, states: Tensor | None) -> tuple[Tensor, ...]:
    """Compute the gradients of all tensor operands.

    Args:
        dy: gradient of the result, (b, c_out, h, w).
        x: operands of the forward pass.
        states: unused.
    """
    if not dy.numel():
        return tuple(torch.zeros_like(operand) for operand in x.tensors)
    padded_dy = _padded(dy, x)
    # Each number of a map meets the taps in the opposite order.
    dx = _convolve(padded_dy, x.weight.transpose(0, 1).flip(2, 3), None, x)
    task = _Task(_padded(x.x, x), x.weight, x.dilation, *dy.shape[2:])
    sums = dy.new_empty(task.n_jobs, x.weight.numel())
    task.point(dy=padded_dy, sums=sums)
    task.run(weight_gradient_jobs, task.n_jobs)
    dweight = sums.sum(0, dtype=torch.float64).to(dy.dtype).reshape(x.weight.shape)
    return dx, dweight, dy.sum((0, 2, 3))
