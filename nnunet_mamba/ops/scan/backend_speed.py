"""Which of two backends runs a scan faster on a device: both passes, timed in turns."""

import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nnunet_mamba.ops.probe import TEST_RUN_ERRORS, told_failure
from nnunet_mamba.ops.scan.operands import ScanOperands

# (b, d, l, n) of a U-Mamba's bottleneck and of a stage of VM-UNet, in between.
SHAPE = (2, 512, 1024, 16)
_WARM_UP, _REPEATS = 3, 7


def times_of(implementations: Mapping[str, Any], dtype: torch.dtype, device: str) -> dict[str, float]:
    """Return the median ms of a forward and a backward pass by each backend; infinite for one that fails.

    Args:
        implementations: modules of backends, by name.
        dtype: of the operands.
        device: that runs them.

    Raises:
        Exception: a lack of memory, which says nothing of the backends.
    """
    x = _operands(dtype, device)
    times: dict[str, list[float]] = {name: [] for name in implementations}
    for repeat in range(_WARM_UP + _REPEATS):
        for name, scan in implementations.items():
            ms = _ms(scan, x)
            if repeat >= _WARM_UP:
                times[name].append(ms)
    return {name: statistics.median(of_one) for name, of_one in times.items()}


def _operands(dtype: torch.dtype, device: str) -> ScanOperands:
    b, d, length, n = SHAPE

    def numbers(*shape: int, low: float = -1.0, high: float = 1.0) -> Tensor:
        count = torch.Size(shape).numel()
        return torch.linspace(low, high, count, device=device, dtype=torch.float32).to(dtype).reshape(shape)

    return ScanOperands(
        u=numbers(b, d, length),
        delta=numbers(b, d, length, low=-4),
        A=numbers(d, n, low=-16, high=-1).float(),
        B=numbers(b, 1, n, length),
        C=numbers(b, 1, n, length),
        D=numbers(d).float(),
        z=numbers(b, d, length),
        delta_bias=numbers(d).float(),
        delta_softplus=True,
    )


def _ms(scan: Any, x: ScanOperands) -> float:
    try:
        _wait(x.u)
        began = time.perf_counter()
        _, *saved = scan.forward_saving(x)
        scan.backward(x.u, x, *saved)
        _wait(x.u)
    except TEST_RUN_ERRORS as error:
        told_failure(error)
        return float("inf")
    return (time.perf_counter() - began) * 1e3


def _wait(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)
