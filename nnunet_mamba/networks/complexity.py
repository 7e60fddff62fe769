"""How large a network is and what one image costs, in multiply-adds as the papers count them and in FLOPs.

Everything runs on the meta device, whose tensors have shapes and no numbers: a count takes a fraction of a second and
no memory, whatever the network. docs/explanation/counting.md says what the two conventions count.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nnunet_mamba.ops.flops import flop_counter

# What thop charges a number of the result of ``torch.nn.Upsample``, by its mode; it warns of others, such as trilinear,
# and counts nothing for them.
_OF_AN_INTERPOLATED_NUMBER = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259}


@runtime_checkable
class CountedByItself(Protocol):
    """A block for which the papers count something beside what its layers count."""

    def published_multiply_adds(self, x: Any, y: Any) -> int:
        """Return what a call with first argument ``x`` and result ``y`` adds to the count."""


@dataclass(frozen=True, kw_only=True)
class Complexity:
    """What was counted for one network and one image.

    Args:
        n_parameters: numbers that the network learns.
        multiply_adds: by the papers' convention.
        flops: floating-point operations, the scans' included, 2 per multiply-add.
    """

    n_parameters: int
    multiply_adds: int
    flops: int


def measure_complexity(network: nn.Module, image_shape: Sequence[int]) -> Complexity:
    """Count what ``network`` has to learn, and what one forward pass in evaluation costs.

    Args:
        network: on any device; it is left as it is.
        image_shape: of one image, (c, *spatial).

    Raises:
        ValueError: ``image_shape`` is no image, or the network does not take it.
    """
    if len(image_shape) not in (3, 4) or min(image_shape) < 1:
        raise ValueError(
            f"image_shape={tuple(image_shape)}, expected channels and two or three axes of one image, all positive; "
            f"pass such as (3, 256, 256), without a batch"
        )
    multiply_adds = 0

    def add(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal multiply_adds
        multiply_adds += _multiply_adds(layer, inputs[0] if inputs else None, output)

    shadow = _shadow(network)
    for layer in shadow.modules():
        layer.register_forward_hook(add)
    with torch.no_grad(), flop_counter() as counter:
        shadow(torch.empty(1, *image_shape, device="meta"))
    return Complexity(
        n_parameters=count_parameters(network), multiply_adds=multiply_adds, flops=counter.get_total_flops()
    )


def count_parameters(network: nn.Module) -> int:
    """Return how many numbers ``network`` learns, those of a shared layer once."""
    return sum(parameter.numel() for parameter in network.parameters())


def count_multiply_adds(network: nn.Module, image_shape: Sequence[int]) -> int:
    """Count as thop does, with which the papers report: only what certain layers do when they are called.

    These are convolutions and linear layers without their bias, norms at four operations per number, and layers that
    interpolate. Scans, matrix products outside such layers, functions that interpolate, GroupNorm and a Mamba block
    count nothing; a ``CountedByItself`` is the exception.
    """
    return measure_complexity(network, image_shape).multiply_adds


def count_flops(network: nn.Module, image_shape: Sequence[int]) -> int:
    """Count the operations of all convolutions, matrix products and scans as ``nnunet_mamba.ops.flops`` does."""
    return measure_complexity(network, image_shape).flops


def _shadow(network: nn.Module) -> nn.Module:
    """Return a copy of ``network`` in evaluation, whose weights have shapes and no numbers."""
    tensors = (*network.parameters(), *network.buffers())
    # deepcopy takes what is in its memo for copied already, so it copies no numbers.
    return copy.deepcopy(network, {id(x): _without_numbers(x) for x in tensors}).eval()


def _without_numbers(x: Tensor) -> Tensor:
    return torch.empty_like(x, device="meta", dtype=torch.float32 if x.is_floating_point() else x.dtype)


@singledispatch
def _multiply_adds(layer: nn.Module, x: Any, y: Any) -> int:
    """Return what the papers' convention counts for a call of ``layer`` with first argument ``x`` and result ``y``."""
    return layer.published_multiply_adds(x, y) if isinstance(layer, CountedByItself) else 0


@_multiply_adds.register(nn.Conv1d)
@_multiply_adds.register(nn.Conv2d)
@_multiply_adds.register(nn.Conv3d)
@_multiply_adds.register(nn.ConvTranspose1d)
@_multiply_adds.register(nn.ConvTranspose2d)
@_multiply_adds.register(nn.ConvTranspose3d)
def _(layer: nn.Conv2d, x: Tensor, y: Tensor) -> int:
    # thop counts a transposed convolution, too, as if each number of its result came from a whole kernel.
    return y.numel() * (layer.in_channels // layer.groups) * math.prod(layer.kernel_size)


@_multiply_adds.register
def _(layer: nn.Linear, x: Tensor, y: Tensor) -> int:
    return y.numel() * layer.in_features


@_multiply_adds.register(nn.LayerNorm)
@_multiply_adds.register(nn.BatchNorm1d)
@_multiply_adds.register(nn.BatchNorm2d)
@_multiply_adds.register(nn.BatchNorm3d)
@_multiply_adds.register(nn.InstanceNorm1d)
@_multiply_adds.register(nn.InstanceNorm2d)
@_multiply_adds.register(nn.InstanceNorm3d)
def _(layer: nn.LayerNorm | nn.BatchNorm2d, x: Tensor, y: Tensor) -> int:
    return (4 if layer.weight is not None else 2) * x.numel()


@_multiply_adds.register
def _(layer: nn.Upsample, x: Tensor, y: Tensor) -> int:
    return _OF_AN_INTERPOLATED_NUMBER.get(layer.mode, 0) * int(y.numel())
