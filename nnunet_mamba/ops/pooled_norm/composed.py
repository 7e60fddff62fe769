"""The definition of a group norm that is pooled, in torch's operators."""

import torch
from torch import Tensor
from torch.nn import functional

from nnunet_mamba.ops.pooled_norm.operands import PooledNormOperands


def forward(x: PooledNormOperands) -> Tensor:
    """Normalise and take the maximum of every window: (b, *spatial / window, c)."""
    normalised = torch.group_norm(x.x.movedim(-1, 1), x.groups, x.weight, x.bias, x.eps)
    if max(x.window) > 1:
        pool = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[len(x.window) - 1]
        normalised = pool(normalised, tuple(x.window))
    return normalised.movedim(1, -1)
