"""Measure how many times faster the CPU kernel scans than the reference's loop over tokens.

    python benchmarks/scan_forward.py

Prints comma-separated rows: medians over runs that alternate between the two, so that a busy machine slows both. Only
the ratios of one run are comparable. ``forward`` runs without gradients; ``forward+backward`` runs both through the
operator's own autograd.
"""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numba
import torch

from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.scan.backends import VARIABLE

SHAPES = ((32, 12, 1024, 16), (8, 256, 256, 16), (1, 96, 4096, 16))  # (b, d, l, n)
REPEATS = {"reference": 7, "numba_cpu": 7}
# A measurement of the fast backend repeats until it is longer than the clock's and the scheduler's noise.
CALLS = {"reference": 1, "numba_cpu": 10}


def cpu_model() -> str:
    """Return the CPU's name without commas."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return (names[0] if names else platform.processor() or platform.machine()).replace(",", " ")


def operands(b: int, d: int, length: int, n: int) -> list[torch.Tensor]:
    """Return u, delta, A, B, C and D of a scan, as a Mamba block makes them."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    A = -torch.arange(1.0, n + 1).repeat(d, 1)
    step = torch.nn.functional.softplus(normal(b, d, length) - 4)
    return [normal(b, d, length), step, A, normal(b, n, length), normal(b, n, length), torch.ones(d)]


def forward(tensors: list[torch.Tensor]) -> None:
    """Scan without gradients."""
    with torch.no_grad():
        selective_scan(*tensors)


def forward_and_backward(tensors: list[torch.Tensor]) -> None:
    """Scan and compute all gradients."""
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    y = selective_scan(*leaves)
    torch.autograd.grad(y, leaves, torch.ones_like(y))


def medians(task: Callable[[list[torch.Tensor]], None], tensors: list[torch.Tensor]) -> dict[str, float]:
    """Return the median ms of ``task`` with each backend."""
    times: dict[str, list[float]] = {name: [] for name in REPEATS}
    for repeat in range(1 + max(REPEATS.values())):
        for name, repeats in REPEATS.items():
            if repeat > repeats:
                continue
            os.environ[VARIABLE] = name
            start = time.perf_counter()
            for _ in range(CALLS[name]):
                task(tensors)
            # The first run compiles, and lets threads and memory settle.
            if repeat:
                times[name].append((time.perf_counter() - start) / CALLS[name] * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Print the table."""
    print("cpu,cores,threads,python,torch,numba")
    versions = (platform.python_version(), torch.__version__, numba.__version__)
    print(",".join(str(x) for x in (cpu_model(), os.cpu_count(), torch.get_num_threads(), *versions)))
    print("task,b,d,l,n,reference_ms,numba_cpu_ms,ratio")
    for b, d, length, n in SHAPES:
        tensors = operands(b, d, length, n)
        for name, task in (("forward", forward), ("forward+backward", forward_and_backward)):
            ms = medians(task, tensors)
            ratio = ms["reference"] / ms["numba_cpu"]
            print(f"{name},{b},{d},{length},{n},{ms['reference']:.2f},{ms['numba_cpu']:.3f},{ratio:.1f}")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
