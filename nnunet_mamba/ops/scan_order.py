"""The orders in which a scan reads an image or a volume: along every axis, forwards and backwards.

Direction i of a map with n spatial axes reads it in row-major order after its axes are rotated to the left i times, so
that each axis runs fastest once; direction n + i is direction i from the last token to the first. In two dimensions
these are the four of SS2D: row-major, column-major and both reversed (Liu et al. 2024, "VMamba", arXiv:2401.10166).
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor


def unroll_map(x: Tensor) -> Tensor:
    """Read one map in every direction.

    Args:
        x: (b, c, *spatial) with n spatial axes.

    Returns:
        (b, 2n, c, l), l = prod(spatial), contiguous.
    """
    scans: Tensor = _UnrollMap.apply(x)
    return scans


def merge_scans(scans: Tensor, spatial: Sequence[int]) -> Tensor:
    """Put the tokens of every direction back in their places and sum over the directions.

    Args:
        scans: (b, 2n, c, l).
        spatial: the map's n sizes, whose product is l.

    Returns:
        (b, c, *spatial).
    """
    x: Tensor = _MergeScans.apply(scans, tuple(spatial))
    return x


def unroll_maps(maps: Tensor) -> Tensor:
    """Read map i in direction i.

    Args:
        maps: (b, 2n, c, *spatial) with n spatial axes.

    Returns:
        (b, 2n, c, l), l = prod(spatial), contiguous.
    """
    n = maps.ndim - 3
    flipped = maps[:, n:].flip(tuple(range(3, maps.ndim)))
    in_order = [*maps[:, :n].unbind(1), *flipped.unbind(1)]
    return torch.stack([_rotated(x, n, i % n).flatten(2) for i, x in enumerate(in_order)], dim=1)


def swap_channels_and_tokens(x: Tensor) -> Tensor:
    """Return ``x``, (b, c, l), as a contiguous (b, l, c), or the other way round."""
    # On a CPU torch transposes a matrix block by block, but a batch of them number by number, five times slower.
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return x.mT.contiguous()
    swapped: Tensor = _Swap.apply(x)
    return swapped


@cache
def positions(*spatial: int) -> Tensor:
    """Return which position, counted in row-major order, each direction reads when: (2n, l), int64, on the CPU."""
    n = len(spatial)
    rows = torch.arange(math.prod(spatial), device="cpu").reshape(spatial)
    forwards = [_rotated(rows, n, i).flatten() for i in range(n)]
    return torch.stack([*forwards, *(order.flip(0) for order in forwards)])


def _rotated(x: Tensor, n: int, times: int) -> Tensor:
    """Return ``x`` with its last ``n`` axes rotated to the left: ``times`` of them moved to the end."""
    first = x.ndim - n
    return x.permute(*range(first), *(first + (axis + times) % n for axis in range(n)))


# Unrolling and merging are each other's adjoint. The gradient that autograd would derive from their single copies
# would copy all scans once per direction.
class _UnrollMap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        b, c, *spatial = x.shape
        n = len(spatial)
        ctx.spatial = tuple(spatial)
        # Flipping the map is one copy; reversing its n scans would be n.
        flipped = x.flip(tuple(range(2, x.ndim)))
        scans = x.new_empty(b, 2 * n, c, math.prod(spatial))
        for i in range(2 * n):
            rotated = _rotated(x if i < n else flipped, n, i % n)
            scans[:, i].view(rotated.shape).copy_(rotated)
        return scans

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return merge_scans(gradient, ctx.spatial)


class _MergeScans(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scans: Tensor, spatial: tuple[int, ...]) -> Tensor:
        n = len(spatial)
        pairs = scans[:, n:].flip(-1).add_(scans[:, :n])
        x = torch.unflatten(pairs[:, 0], -1, spatial)
        for i in range(1, n):
            rotated = torch.unflatten(pairs[:, i], -1, (*spatial[i:], *spatial[:i]))
            x = x + _rotated(rotated, n, n - i)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return unroll_map(gradient), None


class _Swap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        b, c, length = x.shape
        swapped = x.new_empty(b, length, c)
        for target, matrix in zip(swapped, x, strict=True):
            target.copy_(matrix.t())
        return swapped

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return swap_channels_and_tokens(gradient)
