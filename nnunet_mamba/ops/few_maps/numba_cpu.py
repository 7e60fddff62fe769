"""A convolution from few channels to few on a CPU, compiled by numba."""

import torch
from torch import Tensor
from torch.nn import functional

from nnunet_mamba.ops.cpu_kernels.kernel_task import KernelTask
from nnunet_mamba.ops.few_maps.numba_loops import ConvolutionTask, convolution_jobs, weight_gradient_jobs
from nnunet_mamba.ops.few_maps.operands import OWNER, FewMapOperands, margins, padded_shape

# Rows of a map that a job computes at least; a constant, so that results do not depend on the number of threads.
_ROWS_OF_A_JOB = 16


class _Task(KernelTask):
    """Convolve ``padded``, (b, c_in, rows, columns), with ``weight``, (c_out, c_in, kh, kw), to maps as large as x."""

    def __init__(self, padded: Tensor, weight: Tensor, x: FewMapOperands) -> None:
        height, width = x.x.shape[2:]
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
            dilation=x.dilation,
            shares=self.shares,
        )
        super().__init__(structure, owner=OWNER)
        self.point(x=padded, weight=weight)


def _padded(maps: Tensor, x: FewMapOperands) -> Tensor:
    """Surround maps with zeros: the margins, and whole rows of lanes."""
    rows, columns = margins(x)
    missing = padded_shape(maps, x)[3] - maps.shape[3] - 2 * columns
    return functional.pad(maps, (columns, columns + missing, rows, rows))


def _convolve(padded: Tensor, weight: Tensor, bias: Tensor | None, x: FewMapOperands) -> Tensor:
    y = padded.new_empty(padded.shape[0], weight.shape[0], *x.x.shape[2:])
    if y.numel():
        task = _Task(padded, weight, x)
        task.point(y=y, bias=bias)
        task.run(convolution_jobs, task.n_jobs)
    return y


def forward(x: FewMapOperands) -> Tensor:
    """Convolve: (b, c_out, h, w)."""
    return _convolve(_padded(x.x, x), x.weight, x.bias, x)


def forward_saving(x: FewMapOperands) -> tuple[Tensor, Tensor]:
    """Convolve, and keep the padded maps."""
    padded = _padded(x.x, x)
    return _convolve(padded, x.weight, x.bias, x), padded


def backward(dy: Tensor, x: FewMapOperands, states: Tensor) -> tuple[Tensor, ...]:
    """Compute the gradients of all tensor operands.

    Args:
        dy: gradient of the result, (b, c_out, h, w).
        x: operands of the forward pass.
        states: those that it saved, the padded maps.
    """
    if not dy.numel():
        return tuple(torch.zeros_like(operand) for operand in x.tensors)
    padded_dy = _padded(dy, x)
    # Each number of a map meets the taps in the opposite order.
    dx = _convolve(padded_dy, x.weight.transpose(0, 1).flip(2, 3), None, x)
    task = _Task(states, x.weight, x)
    sums = dy.new_empty(task.n_jobs, x.weight.numel())
    task.point(dy=padded_dy, sums=sums)
    task.run(weight_gradient_jobs, task.n_jobs)
    dweight = sums.sum(0, dtype=torch.float64).to(dy.dtype).reshape(x.weight.shape)
    return dx, dweight, dy.sum((0, 2, 3))
