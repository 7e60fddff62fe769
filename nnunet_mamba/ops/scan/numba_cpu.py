"""The scan on a CPU, compiled by numba: no (b, d, l, n) array, sixteen channels at a time, all threads of torch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nnunet_mamba.ops.cpu_kernels.kernel_task import KernelTask
from nnunet_mamba.ops.cpu_kernels.sizes import LANES
from nnunet_mamba.ops.scan.numba_backward import backward_jobs
from nnunet_mamba.ops.scan.numba_forward import forward_jobs
from nnunet_mamba.ops.scan.numba_layout import ScanTask
from nnunet_mamba.ops.scan.operands import TENSOR_NAMES, ScanOperands, states_shape

# Waking a thread costs about as much as this many state updates of a full block.
_UPDATES_PER_THREAD = 2_000
# Jobs that a scan is divided into at least, if it has as many blocks; a constant, so that results do not depend on the
# number of threads.
_JOBS = 16


class _Task(KernelTask):
    def __init__(self, x: ScanOperands) -> None:
        (b, d, length), (groups, n) = x.u.shape, x.B.shape[1:3]
        blocks = -(-(d // groups) // LANES)
        self.shares = max(1, min(blocks, -(-_JOBS // max(1, b * groups))))
        self._n_threads = min(b * groups * self.shares, b * groups * blocks * length * n // _UPDATES_PER_THREAD)
        structure = ScanTask(
            delta_softplus=x.delta_softplus,
            batch=b,
            channels=d,
            groups=groups,
            states_size=n,
            tokens=length,
            shares=self.shares,
        )
        super().__init__(structure, owner="selective_scan")
        operands = zip(TENSOR_NAMES, x.tensors, strict=True)
        self.point(**{name: None if tensor is None else tensor.to(torch.float32) for name, tensor in operands})

    def run_jobs(self, kernel: Callable[[Any], None]) -> None:
        """Run a kernel on as many threads as are worth it."""
        self.run(kernel, self._n_threads)


def _empty(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device="cpu")


def _total(copies: Tensor) -> Tensor:
    return copies[0] if copies.shape[0] == 1 else copies.sum(0)


def _forward(operands: ScanOperands, states: Tensor | None) -> Tensor:
    y = _empty(*operands.u.shape)
    if y.numel():
        task = _Task(operands)
        task.point(y=y, states=states)
        task.run_jobs(forward_jobs)
    return y.to(operands.u.dtype)


def forward(operands: ScanOperands) -> Tensor:
    """Run the scan; see ``reference.forward``."""
    return _forward(operands, None)


def forward_saving(operands: ScanOperands) -> tuple[Tensor, Tensor]:
    """Run the scan and keep the states that the backward pass starts from; see ``reference.forward_saving``."""
    b, d, length = operands.u.shape
    states = _empty(*states_shape(b, d, length, operands.A.shape[1]))
    return _forward(operands, states), states


def backward(dy: Tensor, operands: ScanOperands, states: Tensor | None = None) -> tuple[Tensor | None, ...]:
    """Run the adjoint scan, which computes the states again chunk by chunk; see ``reference.backward``.

    Args:
        dy: gradient of the output, (b, d, l).
        operands: those of the forward scan.
        states: what ``forward_saving`` returned; None runs it again.
    """
    if not dy.numel():
        return tuple(None if operand is None else torch.zeros_like(operand) for operand in operands.tensors)
    if states is None:
        _, states = forward_saving(operands)
    (b, d, length), (groups, n) = operands.u.shape, operands.B.shape[1:3]
    task = _Task(operands)
    du, ddelta = _empty(b, d, length), _empty(b, d, length)
    dz = None if operands.z is None else _empty(b, d, length)
    dA, dD, dbias = _empty(b, d, n), _empty(b, d), _empty(b, d)
    dB, dC = (_empty(task.shares, b, groups, n, length) for _ in range(2))
    task.point(
        dy=dy.to(torch.float32), states=states, du=du, ddelta=ddelta, dz=dz, dA=dA, dB=dB, dC=dC, dD=dD, dbias=dbias
    )
    task.run_jobs(backward_jobs)
    results: tuple[Any, ...] = (du, ddelta, *(_total(copies) for copies in (dA, dB, dC, dD)), dz, _total(dbias))
    return tuple(
        None if operand is None else result.to(operand.dtype)
        for result, operand in zip(results, operands.tensors, strict=True)
    )
