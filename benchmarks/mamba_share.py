"""Measure what UltraLight VM-UNet's Mamba blocks cost: the network against itself with every block as the identity.

    python benchmarks/mamba_share.py [--repeats 9]

Prints comma-separated rows with medians of runs that take turns; only the ratios of one run are comparable. A ratio of
1 would mean that the blocks cost nothing. ``composed`` is the network whose blocks are torch's operators around the
scan.
"""

import argparse
import copy
from typing import Any

import torch
from timing import machine, medians
from torch import Tensor, nn

import nnunet_mamba
from nnunet_mamba.blocks.mamba import Mamba
from nnunet_mamba.ops.mixer import operands

SIDE = 256
ROWS = (("forward", 1), ("forward", 8), ("training step", 8))


class Identity(nn.Module):
    """A block that does nothing to its tokens."""

    def forward(self, tokens: Tensor, **_: Any) -> Tensor:
        """Return ``tokens``."""
        return tokens


def without_mamba(network: nn.Module) -> nn.Module:
    """Return a copy of ``network`` whose Mamba blocks are the identity."""
    floor = copy.deepcopy(network)
    for name, module in list(floor.named_modules()):
        if isinstance(module, Mamba):
            parent, _, child = name.rpartition(".")
            setattr(floor.get_submodule(parent), child, Identity())
    return floor


class Composed(nn.Module):
    """A network whose blocks are not fused."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Run the network."""
        largest, operands.LARGEST_D_INNER = operands.LARGEST_D_INNER, 0
        try:
            logits: Tensor = self.network(images)
        finally:
            operands.LARGEST_D_INNER = largest
        return logits


def predict(network: nn.Module, images: Tensor) -> None:
    """Run a forward pass without gradients."""
    with torch.no_grad():
        network(images)


def train(network: nn.Module, images: Tensor) -> None:
    """Run a forward and a backward pass."""
    network.zero_grad()
    network(images).square().mean().backward()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9, help="turns whose median counts")
    repeats = parser.parse_args().repeats
    print(machine())
    print("task,batch,side,network_ms,composed_ms,floor_ms,ratio,composed_ratio", flush=True)
    network = nnunet_mamba.create_network("ultralight_vm_unet", input_channels=3, num_classes=1)
    networks = {"network": network, "composed": Composed(network), "floor": without_mamba(network)}
    for task, batch in ROWS:
        images = torch.randn(batch, 3, SIDE, SIDE)
        run = predict if task == "forward" else train
        calls = 10 if batch == 1 else 2
        tasks = {name: (lambda run=run, x=x, images=images: run(x, images), calls) for name, x in networks.items()}
        ms = medians(tasks, repeats)
        ratios = ",".join(f"{ms[name] / ms['floor']:.3f}" for name in ("network", "composed"))
        print(f"{task},{batch},{SIDE}," + ",".join(f"{ms[name]:.2f}" for name in networks) + f",{ratios}", flush=True)


if __name__ == "__main__":
    main()
