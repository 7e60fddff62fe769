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

from nnunet_mamba.ops.directions.operands import check_spatial
from nnunet_mamba.ops.operand_checks import whole_sizes
from nnunet_mamba.ops.transforms import is_recorded, needs_definition


def unroll_map(x: Tensor) -> Tensor:
    """Read one map in every direction.

    Args:
        x: (b, c, *spatial) with n spatial axes.

    Returns:
        (b, 2n, c, l), l = prod(spatial), contiguous.

    Raises:
        ValueError: there are no spatial axes.
    """
    _require_axes("unroll_map", "x", x, 3, "(b, c, *spatial)")
    scans: Tensor = _UnrollMap.forward(x) if _is_composed(x) else _UnrollMap.apply(x)
    return scans


def merge_scans(scans: Tensor, spatial: Sequence[int]) -> Tensor:
    """Put the tokens of every direction back in their places and sum over the directions.

    Args:
        scans: (b, 2n, c, l).
        spatial: the map's n sizes, whose product is l.

    Returns:
        (b, c, *spatial).

    Raises:
        ValueError: the scans are not those of such a map.
    """
    spatial = whole_sizes("merge_scans", "spatial", spatial)
    if scans.ndim != 4 or scans.shape[1] != 2 * len(spatial):
        raise ValueError(
            f"merge_scans: scans have shape {tuple(scans.shape)}, expected (b, {2 * len(spatial)}, c, l) for "
            f"spatial={spatial}"
        )
    check_spatial("merge_scans", spatial, scans.shape[3])
    x: Tensor = _MergeScans.forward(scans, spatial) if _is_composed(scans) else _MergeScans.apply(scans, spatial)
    return x


def unroll_maps(maps: Tensor) -> Tensor:
    """Read map i in direction i.

    Args:
        maps: (b, 2n, c, *spatial) with n spatial axes.

    Returns:
        (b, 2n, c, l), l = prod(spatial), contiguous.

    Raises:
        ValueError: there are not as many maps as directions.
    """
    _require_axes("unroll_maps", "maps", maps, 4, "(b, 2n, c, *spatial) with n spatial axes")
    n = maps.ndim - 3
    if maps.shape[1] != 2 * n:
        raise ValueError(
            f"unroll_maps: maps have shape {tuple(maps.shape)}, expected (b, 2n, c, *spatial) with {2 * n} maps, one "
            f"for each direction along {n} axes"
        )
    flipped = maps[:, n:].flip(tuple(range(3, maps.ndim)))
    in_order = [*maps[:, :n].unbind(1), *flipped.unbind(1)]
    return torch.stack([_rotated(x, n, i % n).flatten(2) for i, x in enumerate(in_order)], dim=1)


def swap_channels_and_tokens(x: Tensor) -> Tensor:
    """Return ``x``, (b, c, l), as a contiguous (b, l, c), or the other way round.

    Raises:
        ValueError: ``x`` has more axes or fewer.
    """
    if not isinstance(x, Tensor) or x.ndim != 3:
        found = f"has shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"is a {type(x).__name__}"
        raise ValueError(f"swap_channels_and_tokens: x {found}, expected (b, c, l)")
    # On a CPU torch transposes a matrix block by block, but a batch of them number by number, five times slower.
    if x.device.type != "cpu" or torch.compiler.is_compiling() or _is_composed(x):
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


def _require_axes(owner: str, name: str, x: Tensor, at_least: int, symbols: str) -> None:
    if not isinstance(x, Tensor) or x.ndim < at_least:
        found = f"has shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"is a {type(x).__name__}"
        raise ValueError(f"{owner}: {name} {found}, expected {symbols}")


def _is_composed(x: Tensor) -> bool:
    # A traced graph that calls a function of Python can be neither saved nor given gradients.
    return is_recorded() or needs_definition(x)


def _rotated(x: Tensor, n: int, times: int) -> Tensor:
    """Return ``x`` with its last ``n`` axes rotated to the left: ``times`` of them moved to the end."""
    first = x.ndim - n
    return x.permute(*range(first), *(first + (axis + times) % n for axis in range(n)))


# Unrolling and merging are each other's adjoint. The gradient that autograd would derive from their single copies
# would copy all scans once per direction. In forward mode it derives them well, and a ``jvp`` of their own would keep
# torch's compiler from tracing these functions.
class _UnrollMap(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        b, c, *spatial = x.shape
        n = len(spatial)
        # Flipping the map is one copy; reversing its n scans would be n.
        flipped = x.flip(tuple(range(2, x.ndim)))
        if is_recorded():
            # Written into one array, an exported graph would scatter every direction by the indices of all its numbers.
            return torch.stack([_rotated(flipped if i >= n else x, n, i % n).flatten(2) for i in range(2 * n)], dim=1)
        scans = x.new_empty(b, 2 * n, c, math.prod(spatial))
        for i in range(2 * n):
            rotated = _rotated(x if i < n else flipped, n, i % n)
            scans[:, i].view(rotated.shape).copy_(rotated)
        return scans

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.spatial = tuple(inputs[0].shape[2:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return merge_scans(gradient, ctx.spatial)


class _MergeScans(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(scans: Tensor, spatial: tuple[int, ...]) -> Tensor:
        n = len(spatial)
        pairs = scans[:, n:].flip(-1).add_(scans[:, :n])
        x = torch.unflatten(pairs[:, 0], -1, spatial)
        for i in range(1, n):
            rotated = torch.unflatten(pairs[:, i], -1, (*spatial[i:], *spatial[:i]))
            x = x + _rotated(rotated, n, n - i)
        return x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.spatial = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return unroll_map(gradient), None


class _Swap(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        b, c, length = x.shape
        swapped = x.new_empty(b, length, c)
        for target, matrix in zip(swapped, x, strict=True):
            target.copy_(matrix.t())
        return swapped

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep nothing: swapping back needs no sizes."""

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return swap_channels_and_tokens(gradient)
