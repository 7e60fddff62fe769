"""Count what the scan's Triton kernels cost on a GPU, without one: instructions, registers, programs, memory, launches.

    python benchmarks/kernel_figures.py [--targets sm_80,sm_90,sm_100,gfx942,gfx1100] [--write-baseline]

Compiles the kernels for each GPU and reads the machine code: instructions of a warp per channel and token, in the
innermost loops, all states together; registers of a lane and bytes that it spills. Then, from sizes alone, how the
scans of the GPU check are divided on 132 and on 20 multiprocessors, the memory beside operands, results, gradients and
saved states, what an SS2D block moves and launches around its scan, and the launches of UltraLight VM-UNet's forward
pass. At last the time of a call whose kernels do nothing, which is Python's and torch's, on this CPU.

The counts of one target lie beside this script; a test compares them. Write them anew after a change that is meant.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import triton
from gpu_checks.kernel_times import SHAPES
from gpu_checks.scan_shapes import Shape
from kernel_figures_parts.compiling import SCAN, TARGETS, MapShape, operands, recorded
from kernel_figures_parts.launches import forward_launches
from kernel_figures_parts.machine_code import code_of
from kernel_figures_parts.ss2d_traffic import ss2d_traffic
from timing import machine

from nnunet_mamba import create_network
from nnunet_mamba.ops.scan import triton_gpu
from nnunet_mamba.ops.scan.triton_plan import Sizes, backward_plan, forward_plan

BASELINE = Path(__file__).parent / "kernel_figures_parts/baseline.json"
BASELINE_TARGET = "sm_90"
MULTIPROCESSORS = (132, 20)
PLANNED = SHAPES | {
    "wide": Shape(32, 6144, 64),
    "n=64": Shape(8, 256, 1024, n=64),
    "n=256": Shape(2, 33, 300, n=256),
}
# The four directions of VM-UNet's first and last stages at 256², batch 32.
MAPS = {
    "VM-UNet's maps": MapShape(32, 64, 64, 192, rank=6),
    "VM-UNet's deepest maps": MapShape(32, 8, 8, 1536, rank=48),
}
# The kernel that should be fastest, and the one with the fewest programs.
BASELINE_SHAPES = ("VM-UNet", "U-Mamba 3D bottleneck", "VM-UNet's maps")
CALLS = 300

Figures = dict[str, dict[str, float]]


def kernel_figures(target: str, names: Iterable[str] = (*SHAPES, *MAPS)) -> Figures:
    """Return the figures of the compiled kernels, by kernel and shape."""
    found: Figures = {}
    for name, shape in ((name, (SHAPES | MAPS)[name]) for name in names):
        for record in recorded(shape, MULTIPROCESSORS[0], TARGETS[target]):
            for launch in record.launches:
                if launch.kernel == "carry_kernel":  # has no loop over tokens
                    continue
                code = code_of(launch.compiled)
                found[f"{launch.kernel}, {name}"] = {
                    "instructions": round(code.per_token(launch.options), 2),
                    "registers": code.registers,
                    "spilled": code.spilled,
                }
    return found


def plan_figures() -> Figures:
    """Return programs, waves, bytes and launches of the planned scans, by shape, pass and multiprocessors."""
    found: Figures = {}
    for name, shape in PLANNED.items():
        for count in MULTIPROCESSORS:
            sizes = Sizes(*shape, itemsize=4)
            plans = {"forward": forward_plan(sizes, count), "backward": backward_plan(sizes, count)}
            for (direction, plan), record in zip(plans.items(), recorded(shape, count), strict=True):
                found[f"{direction}, {name}, {count}"] = {
                    "programs": plan.n_programs,
                    "waves": round(plan.waves(count), 2),
                    "extra_bytes": record.extra_bytes,
                    "launches": len(record.launches),
                }
    return found


def map_figures() -> Figures:
    """Return, of SS2D at VM-UNet's first stage, bytes beside the scan over the composed scan's, and launches."""
    found: Figures = {}
    b, side, _, d_inner, *_ = MAPS["VM-UNet's maps"]
    for count in MULTIPROCESSORS:
        traffic = ss2d_traffic(b, side, d_inner // 2, count)
        for direction in ("forward", "backward"):
            scan = traffic[f"{direction}, composed"].scan
            for way in ("composed", "by index"):
                name = f"{direction}, {way}"
                found[f"{name}, {count}"] = {
                    "outside": round(traffic[name].outside / scan, 2),
                    "launches": traffic[name].launches,
                }
    return found


def network_launches(*, is_fused: bool) -> int:
    """Return the launches of a forward pass of UltraLight VM-UNet on one image of 256²."""
    network = create_network("ultralight_vm_unet", input_channels=3, num_classes=1)
    images = (1, 3, 256, 256)
    launches = forward_launches(network, images, n_multiprocessors=MULTIPROCESSORS[0], is_fused=is_fused)
    return launches.total()


class _Nothing:
    """A kernel that does nothing."""

    def __getitem__(self, grid: tuple[int]) -> Callable[..., None]:
        return lambda *arguments, **options: None


def host_times(shape: Shape) -> dict[str, float]:
    """Return microseconds of a call without its kernels, on CPU tensors of a small scan; medians."""
    x = operands(shape, "cpu")
    found = {}
    with patch.multiple(triton_gpu, **{name: _Nothing() for name in SCAN.kernels}):

        def both() -> None:
            y, states = triton_gpu.forward_saving(x)
            triton_gpu.backward(y, x, states)

        tasks: dict[str, Callable[[], Any]] = {"forward": lambda: triton_gpu.forward(x), "forward+backward": both}
        for name, task in tasks.items():
            times = []
            for _ in range(CALLS):
                began = time.perf_counter()
                task()
                times.append(time.perf_counter() - began)
            found[name] = 1e6 * statistics.median(times)
    return found


def counts() -> dict[str, Any]:
    """Return what does not depend on the machine that counts."""
    return {
        "triton": triton.__version__,
        "kernels": kernel_figures(BASELINE_TARGET, BASELINE_SHAPES),
        "plans": plan_figures(),
        "maps": map_figures(),
    }


def _print_table(title: str, figures: Figures) -> None:
    columns = list(next(iter(figures.values())))
    print(f"{title}, {', '.join(columns)}")
    for name, row in figures.items():
        print(f"{name}, {', '.join(f'{row[column]:g}' for column in columns)}")
    print()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", default=",".join(TARGETS), help="some of %(default)s")
    parser.add_argument("--write-baseline", action="store_true", help=f"keep the counts in {BASELINE.name}")
    options = parser.parse_args()
    if options.write_baseline:
        BASELINE.write_text(json.dumps(counts(), indent=1) + "\n")
        return
    print(f"{machine()}, triton {triton.__version__}, torch {torch.__version__}\n")
    _print_table("shape and multiprocessors", plan_figures())
    _print_table("SS2D, its scan and multiprocessors", map_figures())
    for target in options.targets.split(","):
        _print_table(f"{target}: kernel and shape", kernel_figures(target))
    fused, composed = (network_launches(is_fused=is_fused) for is_fused in (True, False))
    print(f"launches, UltraLight VM-UNet at 256², {fused}, composed {composed}\n")
    times = host_times(Shape(1, 16, 64))
    print("host, " + ", ".join(f"{name} {microseconds:.0f} µs" for name, microseconds in times.items()))


if __name__ == "__main__":
    main()
