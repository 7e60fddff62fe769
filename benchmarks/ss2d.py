"""Measure SS2D against the same block on two slower scans, and what of it is not the scan.

    python benchmarks/ss2d.py [--repeats 9]

Prints comma-separated rows with medians of runs without gradients that take turns; only the ratios of one run are
comparable. ``step_loop`` is the block in torch's operators around the loop over the tokens that published
implementations fall back to, ``reference`` the same around our own definition. ``outside_ms`` is the time of the
default block that is not spent in its scan: projections, convolution, norm and gate.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from scan_cpu import step_loop
from timing import machine, medians
from torch import Tensor
from torch.nn import functional

from nnunet_mamba.blocks import ss2d
from nnunet_mamba.ops.directions import composed
from nnunet_mamba.ops.scan.backends import VARIABLE

SHAPES = ((1, 64, 64, 96),)  # (b, h, w, d_model): the first stage of VM-UNet on a 256×256 image


def published_scan(*operands: Tensor, delta_bias: Tensor, delta_softplus: bool) -> Tensor:
    """Scan token by token in torch."""
    u, delta, *others = operands
    assert delta_softplus
    return step_loop(u, functional.softplus(delta + delta_bias[:, None]), *others)


@contextmanager
def slow_scan(name: str) -> Iterator[None]:
    """Let the block use the composed scan around ``name``, "reference" or "step_loop"."""
    ours = composed.selective_scan
    os.environ[VARIABLE] = "reference"
    if name == "step_loop":
        composed.selective_scan = published_scan
    try:
        yield
    finally:
        composed.selective_scan = ours
        os.environ.pop(VARIABLE)


def run_slowly(block: ss2d.SS2D, x: Tensor, name: str) -> None:
    """Run the block on a slower scan."""
    with torch.no_grad(), slow_scan(name):
        block(x)


class TimedScan:
    """The block's default scan, with a clock."""

    def __init__(self) -> None:
        self.scan = ss2d.cross_scan
        self.seconds: list[float] = []

    def __call__(self, *operands: Tensor, **options: object) -> Tensor:
        """Scan and note the time it took."""
        start = time.perf_counter()
        y = self.scan(*operands, **options)
        if VARIABLE not in os.environ:
            self.seconds.append(time.perf_counter() - start)
        return y


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9, help="turns whose median counts")
    repeats = parser.parse_args().repeats
    os.environ.pop(VARIABLE, None)
    print(machine())
    print("b,h,w,d_model,ours_ms,scan_ms,outside_ms,step_loop_ms,ratio,reference_ms,ratio", flush=True)
    for shape in SHAPES:
        torch.manual_seed(0)
        block, x = ss2d.SS2D(shape[3]).requires_grad_(False), torch.randn(shape)
        tasks = {
            "ours": (lambda block=block, x=x: block(x), 10),
            "step_loop": (lambda block=block, x=x: run_slowly(block, x, "step_loop"), 1),
            "reference": (lambda block=block, x=x: run_slowly(block, x, "reference"), 1),
        }
        ss2d.cross_scan = timed = TimedScan()
        ms = medians(tasks, repeats)
        ss2d.cross_scan = timed.scan
        scan = statistics.median(timed.seconds) * 1e3
        ratios = ",".join(f"{ms[name]:.1f},{ms[name] / ms['ours']:.1f}" for name in ("step_loop", "reference"))
        print(",".join(map(str, shape)) + f",{ms['ours']:.2f},{scan:.2f},{ms['ours'] - scan:.2f},{ratios}", flush=True)


if __name__ == "__main__":
    main()
