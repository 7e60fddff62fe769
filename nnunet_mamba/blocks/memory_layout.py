"""Where the channels of a map lie in memory."""

import torch
from torch import Tensor

from nnunet_mamba.ops.transforms import is_exporting, is_traced

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def with_channels_last(x: Tensor) -> Tensor:
    """Return ``x`` with the channels of a position side by side in memory, if it is on a CPU.

    There torch's convolutions of few channels take about half the time so, and a map's tokens, (b, l, c), are the map
    itself instead of a copy of it. Values, shape and gradients are the same.

    Args:
        x: (b, c, *spatial), of 2 or 3 axes.
    """
    # A traced or exported graph serves every device.
    if x.device.type != "cpu" or is_traced() or is_exporting():
        return x
    return x.contiguous(memory_format=_CHANNELS_LAST[x.ndim])
