"""The scan on a CPU, compiled by numba: no (b, d, l, n) array, sixteen channels at a time, all threads of torch."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numba
import numpy as np
import torch
from numba.core.errors import NumbaError
from torch import Tensor

from nnunet_mamba.ops.scan.kernel_cache import kernels_cached
from nnunet_mamba.ops.scan.operands import ScanOperands
from nnunet_mamba.ops.scan.worker_threads import run_jobs

with kernels_cached():
    from nnunet_mamba.ops.scan.lanes import LANES
    from nnunet_mamba.ops.scan.numba_backward import KernelGradients, backward_jobs
    from nnunet_mamba.ops.scan.numba_forward import KernelOperands, forward_jobs

if TYPE_CHECKING:
    from nnunet_mamba.ops.scan.numba_forward import Floats

# Starting a thread's work costs about as much as this many state updates of a full block.
_UPDATES_PER_THREAD = 20_000
# Backward jobs that a scan is divided into at least, if it has as many blocks; a constant, so that results do not
# depend on the number of threads.
_BACKWARD_JOBS = 16


def _flat(tensor: Tensor) -> "Floats":
    array: Floats = tensor.detach().to(torch.float32).contiguous().view(-1).numpy()
    return array


def _kernel_operands(x: ScanOperands) -> KernelOperands:
    d, n = x.A.shape
    absent = np.zeros(d, np.float32)
    return KernelOperands(
        u=_flat(x.u),
        delta=_flat(x.delta),
        A=_flat(x.A),
        B=_flat(x.B),
        C=_flat(x.C),
        D=absent if x.D is None else _flat(x.D),
        z=absent if x.z is None else _flat(x.z),
        delta_bias=absent if x.delta_bias is None else _flat(x.delta_bias),
        delta_softplus=x.delta_softplus,
        has_gate=x.z is not None,
        channels=d,
        groups=x.B.shape[1],
        states=n,
        tokens=x.u.shape[2],
    )


def _blocks_per_group(x: ScanOperands) -> int:
    return -(-(x.A.shape[0] // x.B.shape[1]) // LANES)


def _jobs_per_thread(x: ScanOperands, blocks: int) -> int:
    """Return how many jobs of ``blocks`` blocks are worth a thread."""
    return -(-_UPDATES_PER_THREAD // max(1, blocks * x.u.shape[2] * x.A.shape[1]))


def _empty(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device="cpu")


def _total(copies: Tensor) -> Tensor:
    return copies[0] if copies.shape[0] == 1 else copies.sum(0)


def _run(jobs: Callable[[int, int], None], n_jobs: int, jobs_per_thread: int) -> None:
    try:
        run_jobs(jobs, n_jobs, jobs_per_thread)
    except NumbaError as error:
        raise RuntimeError(
            f"numba {numba.__version__} cannot compile the scan; install another version, or set "
            f"NNUNET_MAMBA_SCAN=reference: {error}"
        ) from error


def forward(operands: ScanOperands) -> Tensor:
    """Run the scan; see ``reference.forward``."""
    b, d, length = operands.u.shape
    y = _empty(b, d, length)
    if y.numel():
        x, flat_y = _kernel_operands(operands), y.view(-1).numpy()
        n_jobs = b * operands.B.shape[1] * _blocks_per_group(operands)
        _run(lambda first, last: forward_jobs(x, flat_y, first, last), n_jobs, _jobs_per_thread(operands, 1))
    return y.to(operands.u.dtype)


def backward(dy: Tensor, operands: ScanOperands) -> tuple[Tensor | None, ...]:
    """Run the adjoint scan, which computes the states again chunk by chunk; see ``reference.backward``."""
    b, d, length = operands.u.shape
    groups, n = operands.B.shape[1:3]
    blocks = _blocks_per_group(operands)
    shares = max(1, min(blocks, -(-_BACKWARD_JOBS // max(1, b * groups))))
    du, ddelta = _empty(b, d, length), _empty(b, d, length)
    dz = _empty(b, d, length) if operands.z is not None else _empty(0)
    dA, dD, dbias = _empty(b, d, n), _empty(b, d), _empty(b, d)
    dB, dC = _empty(shares, b, groups, n, length), _empty(shares, b, groups, n, length)
    if du.numel():
        x, flat_dy = _kernel_operands(operands), _flat(dy)
        gradients = KernelGradients(*(_flat(tensor) for tensor in (du, ddelta, dA, dB, dC, dD, dz, dbias)))
        _run(
            lambda first, last: backward_jobs(x, flat_dy, gradients, shares, first, last),
            b * groups * shares,
            _jobs_per_thread(operands, -(-blocks // shares)),
        )
    else:
        for gradient in (dA, dB, dC, dD, dbias):
            gradient.zero_()
    results = (du, ddelta, *(_total(copies) for copies in (dA, dB, dC, dD)), dz, _total(dbias))
    return tuple(
        None if operand is None else result.to(operand.dtype)
        for result, operand in zip(results, operands.tensors, strict=True)
    )
