"""The operands of a group norm that is pooled."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nnunet_mamba.ops.operand_checks import refuse_count, require_alike, require_shapes, require_sizes

OWNER = "pooled_group_norm"
MOST_AXES = 3
# The backward kernels number the positions of a window in float32.
_LARGEST_WINDOW = 2**24


class PooledNormOperands(NamedTuple):
    """What is normalised and pooled; gradients come back in the order of the tensors here.

    Args:
        x: a map of one to three axes, its channels last, (b, *spatial, c).
        weight: (c,).
        bias: (c,).
        groups: into which the channels are divided; each is normalised over its channels and positions.
        window: one number for each axis, also the stride; every size is a multiple of its own.
        eps: what the variance is increased by.
    """

    x: Tensor
    weight: Tensor
    bias: Tensor
    groups: int
    window: Sequence[int]
    eps: float

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensor operands."""
        return (self.x, self.weight, self.bias)


TENSOR_NAMES = PooledNormOperands._fields[:3]


def result_shape(x: PooledNormOperands) -> tuple[int, ...]:
    """Return the shape of the result, (b, *spatial / window, c)."""
    map_, window = x[0], x[4]
    b, *spatial, c = map_.shape
    return (b, *(size // step for size, step in zip(spatial, window, strict=True)), c)


def new_result(x: PooledNormOperands) -> Tensor:
    """Return room for the result."""
    return x[0].new_empty(result_shape(x))


def new_states(x: PooledNormOperands) -> Tensor:
    """Return room for mean and 1 / standard deviation of every case's groups, (b, groups, 2)."""
    return x[0].new_empty(x[0].shape[0], x[3], 2)


def check_operands(x: PooledNormOperands) -> None:
    """Refuse what is not a map, its norm and its windows.

    Raises:
        TypeError: an operand is not a dense floating-point tensor, has another dtype than ``x``, or ``groups``,
            ``window`` or ``eps`` are not numbers.
        ValueError: shapes do not fit together, or devices differ, or the windows do not tile the map.
    """
    # Spelled out: torch.compile of torch 2.6 unpacks a named tuple but traces neither its properties nor its slices.
    map_, weight, bias, groups, window, eps = x
    require_alike(OWNER, TENSOR_NAMES, (map_, weight, bias))
    if not 3 <= map_.ndim <= 2 + MOST_AXES:
        raise ValueError(
            f"{OWNER}: x, channels last, has shape {tuple(map_.shape)}, expected (b, *spatial, c) with one to "
            f"{MOST_AXES} axes"
        )
    c = map_.shape[-1]
    require_sizes(OWNER, (("x", map_, "c", c),))
    require_shapes(
        OWNER, (("weight", weight, "(c,)", (c,)), ("bias", bias, "(c,)", (c,))), origin="from the channels of x"
    )
    _check_groups(groups, c)
    _check_window(window, map_)
    if isinstance(eps, bool) or not isinstance(eps, (int, float)):
        refuse_count(OWNER, "eps", eps, expected="a number")
    if not 0 <= eps < math.inf:
        raise ValueError(f"{OWNER}: eps={eps}, expected a number from 0 on, such as 1e-5")


def _check_groups(groups: Any, c: int) -> None:
    if isinstance(groups, bool) or not isinstance(groups, (int, torch.SymInt)):
        refuse_count(OWNER, "groups", groups)
    if groups < 1 or c % groups:
        raise ValueError(f"{OWNER}: groups={groups}, expected a divisor of the number of channels, c = {c}")


def _check_window(window: Sequence[int], map_: Tensor) -> None:
    spatial = map_.shape[1:-1]
    if (
        len(window) != len(spatial)
        or min(window) < 1
        or any(size % step for size, step in zip(spatial, window, strict=True))
    ):
        raise ValueError(
            f"{OWNER}: window={tuple(window)}, expected a divisor of the size of each axis of the map, {tuple(spatial)}"
        )


def check_saved(dy: Tensor, states: Tensor, x: PooledNormOperands) -> None:
    """Refuse a gradient or states that are not those of a forward pass with the operands ``x``.

    Raises:
        TypeError: they have another dtype than ``x``.
        ValueError: they have other shapes, or are on another device.
    """
    require_alike(OWNER, ("x", "dy", "states"), (x[0], dy, states))
    require_shapes(
        OWNER,
        (
            ("dy", dy, "(b, *spatial / window, c)", result_shape(x)),
            ("states", states, "(b, groups, 2)", (x[0].shape[0], x[3], 2)),
        ),
        origin="from the operands of the forward pass",
    )


def refusal(x: PooledNormOperands) -> str | None:
    """Return why the fused kernels cannot take these operands, which are checked, or None if they can."""
    map_, window = x[0], x[4]
    if map_.dtype != torch.float32 or map_.device.type != "cpu":
        return f"{map_.dtype} on {map_.device} is not float32 on a CPU"
    if math.prod(window) > _LARGEST_WINDOW:
        return f"windows of {tuple(window)} have more than {_LARGEST_WINDOW} positions"
    return None
