"""How large a network is and what one image costs it, in multiply-adds as the papers count them and in FLOPs.

Everything runs on the meta device, whose tensors have shapes and no numbers: a count takes a fraction of a second and
no memory, whatever the network. docs/explanation/counting.md says what the two conventions count.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.attention_bridge import ChannelAttention
from nnunet_mamba.blocks.bidirectional_mamba import BidirectionalMamba
from nnunet_mamba.blocks.mamba import Mamba
from nnunet_mamba.blocks.ss2d import SS2D
from nnunet_mamba.ops.flops import flop_counter


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
    """Count as thop does, by which the papers report: what certain layers do when they are called.

    These are convolutions and linear layers without their bias, and norms at four operations per number. Scans, matrix
    products outside such layers, GroupNorm and a Mamba block count nothing; ``_multiply_adds`` has the exceptions.
    """
    return measure_complexity(network, image_shape).multiply_adds


def count_flops(network: nn.Module, image_shape: Sequence[int]) -> int:
    """Count the operations of all convolutions, matrix products and scans as ``nnunet_mamba.ops.flops`` does."""
    return measure_complexity(network, image_shape).flops


def _shadow(network: nn.Module) -> nn.Module:
    """Return a copy of ``network`` in evaluation, whose weights have shapes and no numbers."""
    tensors = (*network.parameters(), *network.buffers())
    # What deepcopy finds in its memory it takes for copied already, so that no number is.
    return copy.deepcopy(network, {id(x): _without_numbers(x) for x in tensors}).eval()


def _without_numbers(x: Tensor) -> Tensor:
    return torch.empty_like(x, device="meta", dtype=torch.float32 if x.is_floating_point() else x.dtype)


@singledispatch
def _multiply_adds(layer: nn.Module, x: Any, y: Any) -> int:
    """Return what the papers' convention counts for a call of ``layer`` with first argument ``x`` and result ``y``."""
    return 0


@_multiply_adds.register(nn.Conv1d)
@_multiply_adds.register(nn.Conv2d)
@_multiply_adds.register(nn.Conv3d)
@_multiply_adds.register(nn.ConvTranspose1d)
@_multiply_adds.register(nn.ConvTranspose2d)
@_multiply_adds.register(nn.ConvTranspose3d)
def _(layer: nn.Conv2d, x: Tensor, y: Tensor) -> int:
    # thop takes a transposed convolution, too, for one that makes each number of its result from a whole kernel.
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
def _(layer: SS2D, x: Tensor, y: Tensor) -> int:
    # Its in_proj is a layer that the published block calls; ours applies its two halves itself.
    return x.numel() // layer.d_model * layer.in_proj.weight.numel()


@_multiply_adds.register
def _(layer: BidirectionalMamba, x: Tensor, y: Tensor) -> int:
    """Count the layers that an unfused Mamba block calls, as UltraLBM-UNet's figures do."""
    mamba = layer.mambas[0]
    assert isinstance(mamba, Mamba)
    n_directions = 1 if layer.directions == "forward" else 2
    n_tokens = x.numel() // mamba.d_model  # of all chunks
    n_sequences = n_tokens // x.shape[1]
    # The convolution is padded at both ends, and what the right one adds is dropped.
    n_convolved = n_tokens + n_sequences * (mamba.conv1d.kernel_size[0] - 1)
    projections = mamba.x_proj.weight.numel() + mamba.out_proj.weight.numel()
    return n_directions * (n_convolved * mamba.conv1d.weight.numel() + n_tokens * projections)


@_multiply_adds.register
def _(layer: ChannelAttention, x: Sequence[Tensor], y: Sequence[Tensor]) -> int:
    # The published bridge averages with pooling layers: one operation per number and one per average.
    return sum(level.numel() + level.shape[1] for level in x)
