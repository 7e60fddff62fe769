"""Measure where the networks spend a forward pass on the CPU, and what of it is neither convolution, product nor scan.

    python benchmarks/network_profile.py [--batch 1] [--side 256] [--repeats 5] [--networks vm_unet ...] [--top 5]

Prints comma-separated rows: per network the ms of a pass and each kind's share of the operators' own time. ``outside``
is the sum of all but convolution, product and scan; a fused scan holds the products and the convolution of its block.
With --top, the costliest operators outside follow, each with its calls and share. Set OMP_NUM_THREADS=1 on a busy
machine: threads that wait for each other count as time of their operator.
"""

import argparse
import re
import statistics
import time
from collections import defaultdict

import torch
from timing import machine
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from nnunet_mamba import create_network
from nnunet_mamba.presets import PRESETS

# What an operator's name contains; the first kind that fits has it.
KINDS = {
    "scan": "selective_scan|mamba_mixer|cross_scan",
    "convolution": "conv",
    "resampling": "upsample|pool|^(max|maximum|amax|mean|sum)$",
    "product": "mm$|matmul|linear|scaled_dot_product",
    "norm": "norm|var_mean",
    "copy": "copy|clone|^cat$|^stack$|flip|pad|fill|zero",
    "elementwise": "add|sub|mul|div|neg|exp|sigmoid|lu_?$|sqrt",
}
COUNTED = ("convolution", "product", "scan")
COLUMNS = (*KINDS, "rest")


def kind(operator: str) -> str:
    """Return the kind of a profiler's operator, such as "aten::copy_"."""
    name = operator.rpartition("::")[2]
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name)), "rest")


def own_times(network: nn.Module, images: Tensor, repeats: int) -> dict[str, tuple[float, int]]:
    """Return the own ms and the calls of every operator in one pass, averaged over ``repeats``."""
    with torch.inference_mode():
        for _ in range(2):  # kernels compile and memory settles
            network(images)
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            for _ in range(repeats):
                network(images)
    return {
        event.key: (event.self_cpu_time_total / 1e3 / repeats, round(event.count / repeats))
        for event in profiled.key_averages()
        if "::" in event.key
    }


def median_ms(network: nn.Module, images: Tensor, repeats: int) -> float:
    """Return the median ms of a pass without the profiler."""
    times = []
    with torch.inference_mode():
        for _ in range(1 + repeats):
            start = time.perf_counter()
            network(images)
            times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[1:])


def shares(times: dict[str, tuple[float, int]]) -> dict[str, float]:
    """Return each kind's share of the time."""
    of_kind: defaultdict[str, float] = defaultdict(float)
    for operator, (ms, _) in times.items():
        of_kind[kind(operator)] += ms
    total = sum(of_kind.values())
    return {name: of_kind[name] / total for name in COLUMNS}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1], help="images per pass")
    parser.add_argument("--side", type=int, default=256, help="height and width, pixels")
    parser.add_argument("--repeats", type=int, default=5, help="passes that are averaged")
    names = [name for name, preset in PRESETS.items() if 2 in preset.spatial_dims]
    parser.add_argument("--networks", nargs="+", default=names, choices=names, metavar="NAME")
    parser.add_argument("--top", type=int, default=0, help="operators outside convolution, product and scan to name")
    options = parser.parse_args()
    print(machine())
    print("network,batch,side,ms," + ",".join(COLUMNS) + ",outside", flush=True)
    tops = []
    for name in options.networks:
        overrides = {"input_size": (options.side,) * 2} if "input_size" in PRESETS[name].size(2).arguments else {}
        network = create_network(name, input_channels=3, num_classes=1, **overrides).eval()
        for batch in options.batch:
            images = torch.randn(batch, 3, options.side, options.side)
            times = own_times(network, images, options.repeats)
            ms, of_kind = median_ms(network, images, options.repeats), shares(times)
            outside = 1 - sum(of_kind[counted] for counted in COUNTED)
            columns = ",".join(f"{of_kind[column]:.3f}" for column in COLUMNS)
            print(f"{name},{batch},{options.side},{ms:.1f},{columns},{outside:.3f}", flush=True)
            total = sum(ms for ms, _ in times.values())
            outsiders = [(ms, calls, op) for op, (ms, calls) in times.items() if kind(op) not in COUNTED]
            for ms, calls, operator in sorted(outsiders, reverse=True)[: options.top]:
                tops.append(f"{name},{batch},{operator},{kind(operator)},{calls},{ms:.2f},{ms / total:.3f}")
    if tops:
        print("network,batch,operator,kind,calls,ms,share", *tops, sep="\n")


if __name__ == "__main__":
    main()
