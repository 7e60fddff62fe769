"""Where the channels of a map lie in memory."""

import torch
from torch import Tensor

from nnunet_mamba.ops.transforms import is_recorded


def with_channels_last(x: Tensor) -> Tensor:
    """Return ``x`` with the channels of a position side by side in memory, if it is on a CPU.

    There torch's convolutions of few channels take about half the time so, and a map's tokens, (b, l, c), are the map
    itself instead of a copy of it. Values, shape and gradients are the same.

    Args:
        x: (b, c, *spatial).
    """
    # A traced or exported graph serves every device, and torch's compiler lays out the maps of its own graphs: with
    # sizes that it does not know it fails at maps that lie so (torch 2.14).
    if x.device.type != "cpu" or is_recorded() or torch.compiler.is_compiling():
        return x
    # Not ``contiguous(memory_format=...)``, which ``torch.vmap`` refuses.
    return x.movedim(1, -1).contiguous().movedim(-1, 1)
