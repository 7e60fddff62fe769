"""Max-pooling with windows side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from nnunet_mamba.ops.transforms import is_traced


def max_pool(x: Tensor, window: Sequence[int]) -> Tensor:
    """Return the maximum of every window of ``x``.

    torch's pooling looks at the numbers of a window one by one and keeps where the largest was, which only gradients
    ask for; on a CPU, comparing whole slices takes a fraction of its time and gives the same numbers.

    Args:
        x: (b, c, *spatial), every size a multiple of its window's.
        window: one number per axis, also the stride.

    Returns:
        (b, c, *spatial / window).
    """
    needs_gradient = torch.is_grad_enabled() and x.requires_grad
    # A traced graph is one for both, or torch.jit.trace finds that it traced two.
    if needs_gradient or is_traced() or x.device.type != "cpu":
        pool = functional.max_pool2d if len(window) == 2 else functional.max_pool3d
        return pool(x, tuple(window))
    # The last axis last: then the slices with gaps are of a map that is already smaller.
    for axis, step in enumerate(window, start=2):
        slices = [x[(slice(None),) * axis + (slice(first, None, step),)] for first in range(step)]
        x = slices[0]
        for other in slices[1:]:
            x = torch.maximum(x, other)
    return x
