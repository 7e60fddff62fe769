"""Measure the scan on the CPU: against loops over the tokens, a parallel scan in torch, its own growth and its memory.

    python benchmarks/scan_cpu.py [--repeats 5]

Prints comma-separated rows with medians of runs that take turns; only the ratios of one run are comparable.

- step_loop: the recurrence as published implementations fall back to it: decays and updates of all tokens, then a loop
  over them. Its gradients are autograd's, through slices that ``unbind`` made (indexing would be quadratic).
- reference: our own definition, ``nnunet_mamba.ops.scan.reference``, with its hand-written adjoint.
- mambapy: the parallel scan of the package of that name (forward; it needs d_state times the memory of its tokens).
"""

import argparse
import os
import resource
import subprocess
import sys
from itertools import chain

import torch
from timing import machine, medians
from torch import Tensor

from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.scan.backends import VARIABLE

N = 16
SHAPES = ((32, 12, 1024, 1), (8, 1024, 256, 1), (1, 768, 4096, 4))  # (b, d, l, g)
GROWTH = (1024, 65536)  # l, of (1, 64, l)
MEMORY = (4, 768, 4096, 4)


def operands(b: int, d: int, length: int, g: int) -> list[Tensor]:
    """Return u, delta, A, B, C and D of a scan, as a Mamba block makes them."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    A = -torch.arange(1.0, N + 1).repeat(d, 1)
    step = torch.nn.functional.softplus(normal(b, d, length) - 4)
    return [normal(b, d, length), step, A, normal(b, g, N, length), normal(b, g, N, length), torch.ones(d)]


def step_loop(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Scan token by token in torch."""
    k = u.shape[1] // B.shape[1]
    decay = torch.exp(torch.einsum("bdl,dn->bdln", delta, A))
    update = torch.einsum("bdl,bdnl->bdln", delta * u, B.repeat_interleave(k, 1))
    h = torch.zeros_like(decay[:, :, 0])
    y = []
    matrices = C.repeat_interleave(k, 1).unbind(3)
    for a, b, c in zip(decay.unbind(2), update.unbind(2), matrices, strict=True):
        h = a * h + b
        y.append((h * c).sum(2))
    return torch.stack(y, 2) + D[:, None] * u


def parallel_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Scan with mambapy's parallel scan, as its own Mamba block does, for one group."""
    from mambapy.pscan import pscan

    u, delta, B, C = u.mT, delta.mT, B[:, 0].mT, C[:, 0].mT
    decay = torch.exp(delta[..., None] * A)
    h = pscan(decay, (delta * u)[..., None] * B[:, :, None])
    return ((h @ C[..., None]).squeeze(3) + D * u).mT


def without_gradients(scan: object, tensors: list[Tensor]) -> None:
    """Run a scan alone."""
    with torch.no_grad():
        scan(*tensors)  # type: ignore[operator]


def with_gradients(scan: object, tensors: list[Tensor]) -> None:
    """Run a scan and compute the gradients of all operands."""
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    y = scan(*leaves)  # type: ignore[operator]
    torch.autograd.grad(y, leaves, torch.ones_like(y))


def reference(*tensors: Tensor) -> Tensor:
    """Scan with our own definition."""
    os.environ[VARIABLE] = "reference"
    try:
        return selective_scan(*tensors)
    finally:
        os.environ.pop(VARIABLE)


def compare(repeats: int) -> None:
    """Print how many times faster the scan is than the others."""
    print("task,b,d,l,g,numba_cpu_ms,ns_per_bdl,other,other_ms,ratio")
    for shape in SHAPES:
        tensors = operands(*shape)
        cases = [("forward", without_gradients, "step_loop", step_loop)]
        cases += [("forward", without_gradients, "reference", reference)]
        if shape[3] == 1:
            cases += [("forward", without_gradients, "mambapy", parallel_scan)]
        cases += [("forward+backward", with_gradients, "step_loop", step_loop)]
        for task, run, name, other in cases:
            ms = medians(
                {
                    "ours": (lambda run=run, tensors=tensors: run(selective_scan, tensors), 10),
                    name: (lambda run=run, tensors=tensors, other=other: run(other, tensors), 1),
                },
                repeats,
            )
            ns = ms["ours"] * 1e6 / tensors[0].numel()
            sizes = ",".join(str(size) for size in shape)
            print(
                f"{task},{sizes},{ms['ours']:.3f},{ns:.2f},{name},{ms[name]:.1f},{ms[name] / ms['ours']:.0f}",
                flush=True,
            )


def growth(repeats: int) -> None:
    """Print how the time for one token depends on their number."""
    print("growth,l,forward_ns_per_token,ratio")
    few, many = (operands(1, 64, length, 1) for length in GROWTH)
    ms = medians(
        {
            "few": (lambda: without_gradients(selective_scan, few), GROWTH[1] // GROWTH[0]),
            "many": (lambda: without_gradients(selective_scan, many), 1),
        },
        3 * repeats,
    )
    ns = {length: ms[name] * 1e6 / length for length, name in zip(GROWTH, ms, strict=True)}
    for length in GROWTH:
        print(f"growth,{length},{ns[length]:.1f},{ns[length] / ns[GROWTH[0]]:.2f}")


def peak_memory() -> int:
    """Return the largest size that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory() -> None:
    """Print the memory that forward and backward need beside operands, results and gradients, in this fresh process."""
    with_gradients(selective_scan, operands(1, 16, 64, 1))
    tensors = operands(*MEMORY)
    leaves = [tensor.requires_grad_() for tensor in tensors]
    dy = torch.ones_like(tensors[0])
    before = peak_memory()
    y = selective_scan(*leaves)
    gradients = torch.autograd.grad(y, leaves, dy)
    grown = peak_memory() - before
    sizes = [tensor.nbytes for tensor in chain(leaves, (dy, y), gradients)]
    extra = grown - y.nbytes - sum(gradient.nbytes for gradient in gradients)
    print("memory,b,d,l,g,operands_results_gradients_MiB,extra_MiB,ratio")
    shape = ",".join(str(size) for size in MEMORY)
    print(f"memory,{shape},{sum(sizes) / 2**20:.0f},{extra / 2**20:.0f},{extra / sum(sizes):.2f}")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="turns whose median counts")
    parser.add_argument("--memory", action="store_true", help="measure the memory alone, in this process")
    given = parser.parse_args()
    os.environ.pop(VARIABLE, None)
    if given.memory:
        memory()
        return
    print(machine(), flush=True)
    subprocess.run([sys.executable, __file__, "--memory"], check=True)
    growth(given.repeats)
    compare(given.repeats)


if __name__ == "__main__":
    main()
