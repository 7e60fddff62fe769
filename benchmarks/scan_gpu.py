"""Measure the scan on an NVIDIA GPU against mamba_ssm's extension and against the GPU's copy bandwidth.

    python benchmarks/scan_gpu.py

Prints comma-separated rows: medians over runs that alternate between the implementations. Bytes are what a scan has to
move if it touches every operand, result and saved state once; the share is their rate over that of a copy of 1 GiB.
``mamba_ssm`` is its extension called directly, with its own saved states; without it, these columns stay empty.
"""

import platform
import statistics
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from nnunet_mamba.ops.scan import reference
from nnunet_mamba.ops.scan.operands import TENSOR_NAMES, ScanOperands, states_shape

# (b, d, l, n, groups) of UltraLight VM-UNet at 256², batch 64 (four Mambas side by side); VM-UNet at 256², batch 32;
# U-Mamba on patches of 40×224×192, batch 2: its bottleneck, and its encoder at a quarter of the resolution.
SHAPES = ((256, 12, 1024, 16, 1), (32, 768, 4096, 16, 4), (2, 640, 210, 16, 1), (2, 256, 53_760, 16, 1))
ERROR_SHAPE = (2, 20, 200, 16, 2)
DTYPES = (torch.float32, torch.float16)
REPEATS = 20
GIBIBYTE = 2**30

Task = Callable[[ScanOperands], Any]


def operands(b: int, d: int, length: int, n: int, groups: int, dtype: torch.dtype) -> ScanOperands:
    """Return random operands with every feature of a scan, as a Mamba block makes them."""
    generator = torch.Generator("cuda").manual_seed(0)

    def normal(*shape: int, mean: float = 0) -> Tensor:
        return (torch.randn(shape, generator=generator, device="cuda") + mean).to(dtype)

    tokens, matrix = (b, d, length), (b, groups, n, length)
    A = -torch.arange(1.0, n + 1, device="cuda").repeat(d, 1)
    D, bias = torch.ones(d, device="cuda"), torch.full((d,), -4.0, device="cuda")
    return ScanOperands(
        u=normal(*tokens),
        delta=normal(*tokens),
        A=A,
        B=normal(*matrix),
        C=normal(*matrix),
        D=D,
        z=normal(*tokens),
        delta_bias=bias,
        delta_softplus=True,
    )


def bytes_moved(x: ScanOperands, *, with_backward: bool) -> int:
    """Return the bytes of operands, results and, with the backward pass, saved states, each counted once per pass."""
    size = x.u.element_size()
    (b, d, length), n = x.u.shape, x.A.shape[1]
    tokens, matrices = x.u.numel() * size, (x.B.numel() + x.C.numel()) * size
    forward = 4 * tokens + matrices
    if not with_backward:
        return forward
    states = 4 * torch.Size(states_shape(b, d, length, n)).numel()
    backward = 7 * tokens + 2 * matrices
    return forward + states + backward + states


def forward_and_backward(implementation: Any) -> Task:
    """Return a task that scans and computes all gradients."""

    def task(x: ScanOperands) -> None:
        y, states = implementation.forward_saving(x)
        implementation.backward(y, x, states)

    return task


def extension_forward(x: ScanOperands) -> None:
    """Scan with mamba_ssm's extension."""
    import selective_scan_cuda

    selective_scan_cuda.fwd(*x)


def extension_forward_and_backward(x: ScanOperands) -> None:
    """Scan with mamba_ssm's extension and compute all gradients from the states that it saves."""
    import selective_scan_cuda

    y, states, gated = selective_scan_cuda.fwd(*x)
    selective_scan_cuda.bwd(*x.tensors, gated, states, y, None, x.delta_softplus, False)


def medians(tasks: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the median ms of each task, by CUDA events."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for repeat in range(REPEATS + 3):
        for name, task in tasks.items():
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            task()
            end.record()
            end.synchronize()
            # The first runs compile and let memory settle.
            if repeat >= 3:
                times[name].append(start.elapsed_time(end))
    return {name: statistics.median(values) for name, values in times.items()}


def copy_bandwidth() -> float:
    """Return the bytes per ms that a copy reads and writes."""
    source = torch.empty(GIBIBYTE, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * GIBIBYTE / medians({"copy": lambda: target.copy_(source)})["copy"]


def print_errors(implementation: Any) -> None:
    """Print the largest error of y and of each gradient, relative to the largest number of the float64 reference."""
    print("dtype,y," + ",".join(f"d{name}" for name in TENSOR_NAMES))
    for dtype in DTYPES:
        x = operands(*ERROR_SHAPE, dtype)
        exact = x.to(torch.float64)
        results = (implementation.forward(x), *implementation.backward(x.u, x))
        expected = (reference.forward(exact), *reference.backward(exact.u, exact))
        errors = ((a.double() - b).abs().max() / b.abs().max() for a, b in zip(results, expected, strict=True))
        print(f"{dtype}".removeprefix("torch."), *(f"{float(error):.1e}" for error in errors), sep=",")


def print_times(implementation: Any, has_extension: bool) -> None:
    """Print one row per shape, dtype and task."""
    bandwidth = copy_bandwidth()
    print(f"copy bandwidth,{bandwidth / 1e6:.0f} GB/s")
    print("task,dtype,b,d,l,n,groups,GB,triton_gpu_ms,share_of_copy,mamba_ssm_ms,mamba_ssm_over_triton_gpu")
    for shape in SHAPES:
        for dtype in DTYPES:
            x = operands(*shape, dtype)
            for name, ours, theirs in (
                ("forward", implementation.forward, extension_forward),
                ("forward+backward", forward_and_backward(implementation), extension_forward_and_backward),
            ):
                moved = bytes_moved(x, with_backward=name != "forward")
                tasks = {"ours": lambda x=x, run=ours: run(x)}
                if has_extension:
                    tasks["theirs"] = lambda x=x, run=theirs: run(x)
                ms = medians(tasks)
                share = moved / ms["ours"] / bandwidth
                compared = f"{ms['theirs']:.3f},{ms['theirs'] / ms['ours']:.2f}" if has_extension else ","
                row = (name, str(dtype).removeprefix("torch."), *shape, f"{moved / 1e9:.3f}", f"{ms['ours']:.3f}")
                print(*row, f"{share:.2f}", compared, sep=",", flush=True)


def main() -> None:
    """Print the GPU, the errors and the times."""
    if not torch.cuda.is_available():
        print(
            "scan_gpu.py needs an NVIDIA GPU that torch can use; torch.cuda.is_available() is False.", file=sys.stderr
        )
        sys.exit(2)
    # Only here, because Triton is not installed with every torch.
    import triton

    from nnunet_mamba.ops.scan import triton_gpu

    has_extension = find_spec("selective_scan_cuda") is not None
    print("gpu,multiprocessors,python,torch,cuda,triton,mamba_ssm's extension")
    properties = torch.cuda.get_device_properties(0)
    versions = (platform.python_version(), torch.__version__, torch.version.cuda, triton.__version__)
    print(properties.name, properties.multi_processor_count, *versions, "yes" if has_extension else "no", sep=",")
    print_errors(triton_gpu)
    print_times(triton_gpu, has_extension)


if __name__ == "__main__":
    main()
