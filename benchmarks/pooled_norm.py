"""Measure the fused group norm with its pooling against torch's two layers, whose maps lie in either way in memory.

    python benchmarks/pooled_norm.py [--repeats 15]

Prints comma-separated rows with medians of runs that take turns; only the ratios of one run are comparable. ``plain``
is torch on contiguous maps, ``channels_last`` torch on maps whose channels lie last, ``ours`` the fused operator on the
same, ``ours_plain`` on contiguous maps, which it copies. Rows with ``gradient`` are a forward and a backward pass.
"""

import argparse

import torch
from timing import machine, medians
from torch import Tensor

from nnunet_mamba.blocks.max_pool import max_pool
from nnunet_mamba.ops import pooled_group_norm

GROUPS = 4
# (b, c, h, w) and the window: the encoder's and the decoder's maps of UltraLight VM-UNet at 256².
SHAPES = (
    ((8, 8, 256, 256), 2),
    ((8, 16, 128, 128), 2),
    ((8, 24, 64, 64), 2),
    ((8, 16, 64, 64), 1),
    ((8, 8, 128, 128), 1),
    ((1, 8, 256, 256), 2),
    ((1, 16, 128, 128), 2),
    ((1, 8, 128, 128), 1),
)


def torch_layers(x: Tensor, weight: Tensor, bias: Tensor, window: tuple[int, ...]) -> Tensor:
    """Normalise and pool as the networks did."""
    normalised = torch.group_norm(x, GROUPS, weight, bias)
    return normalised if max(window) == 1 else max_pool(normalised, window)


def fused(x: Tensor, weight: Tensor, bias: Tensor, window: tuple[int, ...]) -> Tensor:
    """Normalise and pool in one."""
    return pooled_group_norm(x, weight, bias, groups=GROUPS, window=window)


class Run:
    """One way to compute, on maps of one memory format, as a task of ``medians``."""

    def __init__(self, function: object, shape: tuple[int, ...], step: int, memory: torch.memory_format) -> None:
        torch.manual_seed(0)
        self.function, self.window = function, (step,) * (len(shape) - 2)
        self.x = torch.randn(shape).to(memory_format=memory).requires_grad_()
        self.weights = [torch.randn(shape[1], requires_grad=True) for _ in range(2)]
        with torch.no_grad():
            self.gradient = torch.randn_like(function(self.x, *self.weights, self.window))

    def forward(self) -> None:
        """Compute the result alone."""
        with torch.no_grad():
            self.function(self.x, *self.weights, self.window)

    def both(self) -> None:
        """Compute the result and all gradients."""
        y = self.function(self.x, *self.weights, self.window)
        torch.autograd.grad(y, [self.x, *self.weights], self.gradient)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="turns whose median counts")
    repeats = parser.parse_args().repeats
    print(machine())
    print("b,c,h,w,window,pass,ours_ms,plain_ms,ratio,channels_last_ms,ratio,ours_plain_ms", flush=True)
    for shape, step in SHAPES:
        runs = {
            "ours": Run(fused, shape, step, torch.channels_last),
            "plain": Run(torch_layers, shape, step, torch.contiguous_format),
            "channels_last": Run(torch_layers, shape, step, torch.channels_last),
            "ours_plain": Run(fused, shape, step, torch.contiguous_format),
        }
        for name in ("forward", "both") if shape[0] > 1 else ("forward",):
            ms = medians({key: (getattr(run, name), 3) for key, run in runs.items()}, repeats)
            ratios = ",".join(f"{ms[key]:.2f},{ms[key] / ms['ours']:.1f}" for key in ("plain", "channels_last"))
            row = f"{','.join(map(str, shape))},{step},{'gradient' if name == 'both' else 'forward'}"
            print(f"{row},{ms['ours']:.3f},{ratios},{ms['ours_plain']:.2f}", flush=True)


if __name__ == "__main__":
    main()
