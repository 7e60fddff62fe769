"""A group norm and the max-pooling after it, fused where that pays."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.max_pool import max_pool
from nnunet_mamba.ops import pooled_group_norm
from nnunet_mamba.ops.transforms import is_recorded

# Of a map, from which on the fused operator saves more than its call costs (benchmarks/pooled_norm.py).
_FEWEST_NUMBERS = 2**17


def normalise_and_pool(norm: nn.GroupNorm, x: Tensor, window: Sequence[int]) -> Tensor:
    """Return the maximum of every window of ``norm(x)``.

    On a CPU both are one operator if the map is large and its channels lie last in memory; elsewhere ``norm`` is called
    as a layer, also where hooks wait for that.

    Args:
        norm: with weights.
        x: (b, c, *spatial), every size a multiple of its window's.
        window: one number per axis, also the stride; without a size above one nothing is pooled.

    Returns:
        (b, c, *spatial / window).
    """
    if _is_fused(norm, x):
        return pooled_group_norm(x, norm.weight, norm.bias, groups=norm.num_groups, window=tuple(window), eps=norm.eps)
    normalised: Tensor = norm(x)
    return normalised if max(window) == 1 else max_pool(normalised, window)


def _is_fused(norm: nn.GroupNorm, x: Tensor) -> bool:
    # A traced or exported graph serves every device and every layout.
    if x.device.type != "cpu" or x.dtype != torch.float32 or is_recorded():
        return False
    # torch's compiler does not know all sizes.
    if not torch.compiler.is_compiling() and x.numel() < _FEWEST_NUMBERS:
        return False
    # Somebody may have put another norm in its place.
    if type(norm) is not nn.GroupNorm or norm.weight is None or norm.bias is None:
        return False
    if norm.weight.dtype != x.dtype or _is_watched(norm):
        return False
    # Not ``is_contiguous(memory_format=...)``, which no mapped tensor can tell.
    return x.movedim(1, -1).is_contiguous()


def _is_watched(layer: nn.Module) -> bool:
    """Return whether hooks wait for a call of the layer."""
    own = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    return any(own) or bool(nn.modules.module._has_any_global_hook())  # type: ignore[no-untyped-call]
