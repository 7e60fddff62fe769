"""The skeleton of UltraLight VM-UNet, UltraLBM-UNet and MALUNet: a U-Net of few channels, pooled at every level.

Encoder: mix, normalise, pool, GELU. Decoder: mix, normalise, interpolate, GELU, add the skip. What mixes the positions
and what happens to the skips is the network's own.

Source: Wu et al. 2024, "UltraLight VM-UNet", arXiv:2403.20035, section 3.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import (
    is_whole,
    named_axes,
    require_flags,
    require_sequence,
    require_spatial_dims,
)
from nnunet_mamba.blocks.layers_by_axes import convolution_for
from nnunet_mamba.blocks.memory_layout import with_channels_last
from nnunet_mamba.blocks.pooled_norm import normalise_and_pool
from nnunet_mamba.networks.input_images import require_positive
from nnunet_mamba.networks.planned_pooling import pooling_of_plan
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork

NORM_GROUPS = 4
# Tokens are mixed in the last three encoder stages and the first three decoder stages, whatever the depth.
N_DEEP_STAGES = 3

Strides = Sequence[Sequence[int]]


class CompactUNet(SegmentationNetwork):
    """Segment images or volumes of any size.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        channels: of every level, highest resolution first.
        encoder: what mixes each level, channels[i - 1] → channels[i]; the last is the bottleneck.
        decoder: what mixes each level on the way back, deepest first.
        skips: turns the list of all skips, highest resolution first, into such a list; None leaves them.
        strides: pooling of every level but the deepest, one number per axis.
        deep_supervision: whether every stage of the decoder has a head, and the result is a list of their logits while
            ``decoder.deep_supervision`` is True: of the image's resolution, then of the stages before the last one,
            the highest resolution first.

    Source:
        Wu et al. 2024, arXiv:2403.20035; the heads are ours.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        channels: Sequence[int],
        encoder: Sequence[nn.Module],
        decoder: Sequence[nn.Module],
        skips: nn.Module | None,
        strides: Strides,
        deep_supervision: bool = False,
    ) -> None:
        require_flags(type(self).__name__, deep_supervision=deep_supervision)
        # The last stage of the decoder has pooled maps, whose logits are interpolated; the others' stay as they are.
        coarser = [total_stride(strides[: 2 + level]) for level in range(len(strides) - 1)] if deep_supervision else []
        super().__init__(
            input_channels,
            size_multiple=total_stride(strides),
            output_reductions=((1,) * len(strides[0]), *coarser),
        )
        self.strides = tuple(tuple(stride) for stride in strides)
        self.encoder = nn.ModuleList(
            EncoderStage(mixer, width, stride)
            for mixer, width, stride in zip(encoder[:-1], channels[:-1], self.strides, strict=True)
        )
        self.bottleneck = encoder[-1]
        self.skips = skips
        self.decoder = Decoder(
            decoder, channels[-2::-1], num_classes, strides=self.strides[::-1], deep_supervision=deep_supervision
        )
        self.apply(initialise)

    @classmethod
    def axes_named_by(cls, arguments: Mapping[str, Any]) -> int | None:
        """Return the number of axes that the strides have, None if there are none."""
        return named_axes(arguments, per_stage_and_axis=("strides",))

    @classmethod
    def planned_arguments(
        cls, names: Collection[str], plan: Mapping[str, Any], *, published: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return what the plans decide; "strides" pool as the plan does, at as many levels as the network has."""
        planned = super().planned_arguments(names, plan, published=published)
        if "strides" in planned:
            n_poolings = len(published["channels"]) - 1
            planned["strides"] = pooling_of_plan(plan["strides"], plan["input_size"], n_poolings=n_poolings)
        return planned

    @property
    def published_names(self) -> dict[str, str]:
        """Our names and the published ones."""
        return published_stage_names(len(self.encoder))

    def segment(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return the logits of padded images ``x``, (b, input_channels, *spatial); a list with deep supervision."""
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        x = functional.gelu(self.bottleneck(x))
        if self.skips is not None:
            skips = self.skips(skips)
        logits: Tensor | list[Tensor] = self.decoder(x, skips)
        return logits


class EncoderStage(nn.Module):
    """Mix, normalise, pool."""

    def __init__(self, mixer: nn.Module, out_channels: int, stride: Sequence[int]) -> None:
        super().__init__()
        self.mixer = mixer
        self.norm = _norm(out_channels)
        self.stride = tuple(stride)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, c, *spatial) into (b, out_channels, *spatial / stride)."""
        x = with_channels_last(self.mixer(with_channels_last(x)))
        return functional.gelu(normalise_and_pool(self.norm, x, self.stride))


class Decoder(nn.Module):
    """Bring the bottleneck back to the resolution of the image.

    Args:
        mixers: of every stage, deepest first.
        channels: that the stages return, deepest first.
        num_classes: channels of the logits.
        strides: pooling to undo, deepest first.
        deep_supervision: whether all stages have a head; ``forward`` returns the logits of all of them while the
            attribute of this name is True, which may be set at any time.
    """

    def __init__(
        self,
        mixers: Sequence[nn.Module],
        channels: Sequence[int],
        num_classes: int,
        *,
        strides: Strides,
        deep_supervision: bool,
    ) -> None:
        super().__init__()
        self.deep_supervision = deep_supervision
        # The deepest skip has the bottleneck's resolution, so every other stage undoes the pooling before its own.
        factors = (None, *strides[:-1])
        self.stages = nn.ModuleList(
            DecoderStage(mixer, width, factor) for mixer, width, factor in zip(mixers, channels, factors, strict=True)
        )
        self.stride = tuple(strides[-1])
        head = convolution_for(len(self.stride))
        # The first head is the published one, whether there are others or not.
        widths = channels[::-1] if deep_supervision else channels[-1:]
        self.seg_layers = nn.ModuleList(head(width, num_classes, 1) for width in widths)

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> Tensor | list[Tensor]:
        """Return the logits; ``skips`` are (b, c_i, *spatial_i), highest resolution first."""
        last = len(self.stages) - 1
        coarser: list[Tensor] = []
        for index, (stage, skip) in enumerate(zip(self.stages, reversed(skips), strict=True)):
            x = stage(x) + skip
            if self.deep_supervision and index < last:
                coarser.append(self.seg_layers[last - index](x).contiguous())
        # Few channels are interpolated faster one by one, and what follows expects the plain layout.
        logits = upsample(self.seg_layers[0](x).contiguous(), self.stride)
        return [logits, *reversed(coarser)] if self.deep_supervision else logits


class DecoderStage(nn.Module):
    """Mix, normalise, interpolate by ``factor`` if there is one."""

    def __init__(self, mixer: nn.Module, out_channels: int, factor: Sequence[int] | None) -> None:
        super().__init__()
        self.mixer = mixer
        self.norm = _norm(out_channels)
        self.factor = factor and tuple(factor)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, c, *spatial) into (b, out_channels, *spatial * factor)."""
        x = normalise_and_pool(self.norm, with_channels_last(self.mixer(x)), (1,) * (x.ndim - 2))
        return functional.gelu(x if self.factor is None else upsample(x, self.factor))


def resolve_strides(owner: str, strides: Strides | None, *, n_levels: int, spatial_dims: int) -> Strides:
    """Return one stride per axis for every level but the deepest: what is given, or 2 everywhere.

    Args:
        owner: network's name, for the error.
        strides: as given to the network.
        n_levels: levels of the network, the deepest included.
        spatial_dims: 2 or 3.

    Raises:
        ValueError: the strides do not fit the levels or axes.
    """
    require_spatial_dims(owner, spatial_dims)
    if strides is None:
        return ((2,) * spatial_dims,) * (n_levels - 1)
    require_sequence(owner, "strides", strides, of="poolings")
    if len(strides) != n_levels - 1:
        raise ValueError(
            f"{owner}: {len(strides)} strides for {n_levels} levels, expected {n_levels - 1}: one pooling for every "
            f"level but the deepest; strides={list(strides)}"
        )
    for level, stride in enumerate(strides):
        is_per_axis = isinstance(stride, Sequence) and len(stride) == spatial_dims
        if not is_per_axis or not all(is_whole(factor) and factor >= 1 for factor in stride):
            raise ValueError(
                f"{owner}: strides[{level}]={stride!r}, expected {spatial_dims} numbers >= 1, one for each axis, such "
                f"as {(2,) * spatial_dims}"
            )
    return strides


def published_stage_names(n_poolings: int) -> dict[str, str]:
    """Return our names and the published ones of the stages of a network that pools so often, and of its head."""
    names = {"bottleneck": f"encoder{n_poolings + 1}.0", "decoder.seg_layers.0": "final"}
    for i in range(n_poolings):
        names[f"encoder.{i}.mixer"] = f"encoder{i + 1}.0"
        names[f"encoder.{i}.norm"] = f"ebn{i + 1}"
        names[f"decoder.stages.{i}.mixer"] = f"decoder{i + 1}.0"
        names[f"decoder.stages.{i}.norm"] = f"dbn{i + 1}"
    return names


def total_stride(strides: Strides) -> list[int]:
    """Return by how much each axis shrinks on the way to the bottleneck."""
    total = [1] * len(strides[0])
    for stride in strides:
        total = [before * factor for before, factor in zip(total, stride, strict=True)]
    return total


def check_sizes(owner: str, input_channels: int, num_classes: int, channels: Sequence[int]) -> None:
    """Raise a ValueError that names the first size that no ``CompactUNet`` can have."""
    require_positive(owner, input_channels=input_channels, num_classes=num_classes)
    require_sequence(owner, "channels", channels, of="channel numbers")
    for level, number in enumerate(channels):
        if not is_whole(number):
            raise ValueError(f"{owner}: channels[{level}]={number!r}, expected a positive integer")
    if len(channels) <= N_DEEP_STAGES:
        raise ValueError(
            f"{owner}: channels={tuple(channels)} has {len(channels)} levels, expected at least {N_DEEP_STAGES + 1}; "
            f"add levels"
        )
    for level, number in enumerate(channels):
        divisor = NORM_GROUPS if level < len(channels) - 1 and number > NORM_GROUPS else 1
        if number < 1 or number % divisor:
            raise ValueError(
                f"{owner}: channels[{level}]={number}, expected a positive multiple of {NORM_GROUPS} (the group "
                f"norm's groups); nearest is {max(1, round(number / NORM_GROUPS)) * NORM_GROUPS}"
            )


def convolution(in_channels: int, out_channels: int, *, spatial_dims: int) -> nn.Module:
    """Return the convolution of 3 taps along every axis that the shallow stages mix with."""
    layer: nn.Module = convolution_for(spatial_dims)(in_channels, out_channels, 3, padding=1)
    return layer


def mixers_by_level(
    input_channels: int,
    channels: Sequence[int],
    *,
    deep_encoder: Callable[[int, int], nn.Module],
    deep_decoder: Callable[[int, int], nn.Module],
) -> tuple[list[nn.Module], list[nn.Module]]:
    """Return what mixes the levels of an image on the way down, and on the way back, deepest first.

    Args:
        input_channels: channels of the images.
        channels: of every level, highest resolution first.
        deep_encoder: makes, from channels in and out, what mixes the deepest ``N_DEEP_STAGES`` levels on the way down;
            convolutions mix the others.
        deep_decoder: the same for as many stages on the way back.
    """
    shallow = partial(convolution, spatial_dims=2)
    n_shallow = len(channels) - N_DEEP_STAGES
    widths = (input_channels, *channels)
    encoder = [
        (shallow if level < n_shallow else deep_encoder)(widths[level], widths[level + 1])
        for level in range(len(channels))
    ]
    decoder = [
        (shallow if level < n_shallow else deep_decoder)(widths[level + 1], widths[level])
        for level in reversed(range(1, len(channels)))
    ]
    return encoder, decoder


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(min(NORM_GROUPS, channels), channels)


def upsample(x: Tensor, factor: Sequence[int]) -> Tensor:
    """Interpolate ``x``, (b, c, *spatial), to (b, c, *spatial * factor), with aligned corners."""
    sizes = [size * of_axis for size, of_axis in zip(x.shape[2:], factor, strict=True)]
    return functional.interpolate(
        x, size=sizes, mode="bilinear" if len(sizes) == 2 else "trilinear", align_corners=True
    )


def initialise(module: nn.Module) -> None:
    """Set the published initial values; a Mamba block's step size projection is among the linear layers."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv1d):
        # Mamba's depthwise convolution, whose groups the published rule leaves out of the fan.
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, (nn.Conv2d, nn.Conv3d)):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
