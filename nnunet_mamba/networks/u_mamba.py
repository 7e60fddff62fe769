"""U-Mamba: a residual U-Net with a Mamba layer at its bottleneck (Bot) or several along its encoder (Enc).

Source: Ma, Li and Wang 2024, "U-Mamba: Enhancing Long-range Dependency for Biomedical Image Segmentation",
arXiv:2401.04722.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import is_whole, named_axes, require_flags
from nnunet_mamba.blocks.layers_by_axes import convolution_for
from nnunet_mamba.blocks.mamba_layer import MambaLayer
from nnunet_mamba.blocks.residual_stage import residual_stage
from nnunet_mamba.networks.stage_sizes import PerStage, PerStageAndAxis, StageSizes, resolve_stage_sizes
from nnunet_mamba.networks.stage_u_net import StageUNet, require_two_positions

LEAKY_SLOPE = 1e-2


class UMambaBot(StageUNet):
    """Segment images or volumes of any size; a Mamba layer mixes the deepest map.

    Every argument per stage is one number for all stages or a sequence; kernel sizes and strides are per stage one
    number for all axes or a sequence.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        features_per_stage: channels of every stage, highest resolution first.
        kernel_sizes: odd; the number of axes makes the network 2D or 3D.
        strides: by which each stage's map is smaller than the one before; None is 1, then 2.
        n_conv_per_stage: residual blocks per stage of the encoder; as in the published code, the deeper half of the
            stages has a single one, whatever is passed for them.
        n_conv_per_stage_decoder: residual blocks per stage of the decoder, lowest resolution first; the half of higher
            resolution has a single one, whatever is passed for them.
        deep_supervision: whether the result is a list of logits, see ``StageUNet``; the weights are the same.
        spatial_dims: 2 or 3, where the kernel sizes do not tell; None is 2 then.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    bottleneck: ClassVar[type[nn.Module]] = MambaLayer

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        features_per_stage: Sequence[int],
        kernel_sizes: PerStageAndAxis = 3,
        strides: PerStageAndAxis | None = None,
        n_conv_per_stage: PerStage = 2,
        n_conv_per_stage_decoder: PerStage = 2,
        deep_supervision: bool = False,
        spatial_dims: int | None = None,
    ) -> None:
        sizes = resolve_stage_sizes(
            type(self).__name__,
            features_per_stage,
            kernel_sizes=kernel_sizes,
            strides=strides,
            n_conv_per_stage=n_conv_per_stage,
            n_conv_per_stage_decoder=n_conv_per_stage_decoder,
            spatial_dims=spatial_dims,
        )
        sizes = _with_published_blocks(sizes)
        require_flags(type(self).__name__, deep_supervision=deep_supervision)
        super().__init__(input_channels, num_classes, sizes)
        self.encoder = UMambaEncoder(input_channels, sizes, mamba_layers={})
        self.mamba_layer = self.bottleneck(sizes.features[-1])
        self.decoder = UMambaDecoder(num_classes, sizes, deep_supervision=deep_supervision)
        self.apply(_initialise)

    def _mix_deepest(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mamba_layer(x)
        return mixed


class UMambaNoMamba(UMambaBot):
    """The same network as ``UMambaBot`` without its Mamba layer, to see what that layer adds."""

    bottleneck = nn.Identity


class UMambaEnc(StageUNet):
    """Segment images or volumes of one size; Mamba layers follow the encoder's stages, in 2D every other one.

    Where a map has no more positions than channels, the channels are the tokens, so the weights depend on
    ``input_size``.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        input_size: of every image, one number per axis.
        features_per_stage: see ``UMambaBot``, as for the others.
        kernel_sizes: per stage, and per axis.
        strides: per stage, and per axis.
        n_conv_per_stage: residual blocks of the encoder.
        n_conv_per_stage_decoder: residual blocks of the decoder.
        deep_supervision: whether the result is a list of logits.
        spatial_dims: 2 or 3, where the kernel sizes do not tell.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        input_size: Sequence[int],
        features_per_stage: Sequence[int],
        kernel_sizes: PerStageAndAxis = 3,
        strides: PerStageAndAxis | None = None,
        n_conv_per_stage: PerStage = 2,
        n_conv_per_stage_decoder: PerStage = 2,
        deep_supervision: bool = False,
        spatial_dims: int | None = None,
    ) -> None:
        sizes = resolve_stage_sizes(
            type(self).__name__,
            features_per_stage,
            kernel_sizes=kernel_sizes,
            strides=strides,
            n_conv_per_stage=n_conv_per_stage,
            n_conv_per_stage_decoder=n_conv_per_stage_decoder,
            spatial_dims=spatial_dims,
        )
        sizes = _with_published_blocks(sizes)
        require_flags(type(self).__name__, deep_supervision=deep_supervision)
        super().__init__(input_channels, num_classes, sizes)
        _check_input_size(input_size, sizes)
        self.input_size = tuple(input_size)
        self.encoder = UMambaEncoder(input_channels, sizes, mamba_layers=_encoder_layers(self.input_size, sizes))
        self.decoder = UMambaDecoder(num_classes, sizes, deep_supervision=deep_supervision)
        self.apply(_initialise)

    @classmethod
    def axes_named_by(cls, arguments: Mapping[str, Any]) -> int | None:
        """Return the number of axes that the input size, kernel sizes or strides have, None if they do not say."""
        return named_axes(arguments, per_axis=("input_size",), per_stage_and_axis=("kernel_sizes", "strides"))

    def _check_size(self, size: Sequence[int]) -> None:
        if tuple(size) != self.input_size:
            raise ValueError(
                f"UMambaEnc: images of size {tuple(size)}, expected input_size={self.input_size}, which the weights "
                f"are tied to; pass patches of that size, create the network with another input_size, or use "
                f"UMambaBot, which takes any"
            )


class UMambaEncoder(nn.Module):
    """A stem at full resolution, then stages of residual blocks, each followed by a Mamba layer if it has one.

    Args:
        input_channels: channels of the images.
        sizes: of the stages.
        mamba_layers: by the index of the stage they follow.
    """

    def __init__(self, input_channels: int, sizes: StageSizes, *, mamba_layers: Mapping[int, nn.Module]) -> None:
        super().__init__()
        widths = (sizes.features[0], *sizes.features)
        self.stem = residual_stage(
            input_channels,
            widths[0],
            kernel_size=sizes.kernel_sizes[0],
            stride=(1,) * sizes.spatial_dims,
            n_blocks=sizes.n_blocks[0],
        )
        self.stages = nn.ModuleList(
            residual_stage(
                widths[stage],
                widths[stage + 1],
                kernel_size=sizes.kernel_sizes[stage],
                stride=sizes.strides[stage],
                n_blocks=sizes.n_blocks[stage],
            )
            for stage in range(len(sizes.features))
        )
        self.mamba_layers = nn.ModuleList(
            mamba_layers.get(stage, nn.Identity()) for stage in range(len(sizes.features))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps of all stages, (b, features, *spatial / reduction) each, of (b, input_channels, *spatial)."""
        x = self.stem(x)
        maps = []
        for stage, mamba_layer in zip(self.stages, self.mamba_layers, strict=True):
            x = mamba_layer(stage(x))
            maps.append(x)
        return maps


class UMambaDecoder(nn.Module):
    """Stages that upsample, concatenate the encoder's map and mix; each has its own segmentation head.

    In 2D the last stage does not concatenate, as in the published code; in 3D it does.

    Args:
        num_classes: channels of the logits.
        sizes: of the encoder's stages.
        deep_supervision: whether ``forward`` returns the logits of all stages; may be set at any time.
    """

    def __init__(self, num_classes: int, sizes: StageSizes, *, deep_supervision: bool) -> None:
        super().__init__()
        self.deep_supervision = deep_supervision
        self.concatenates_last = sizes.spatial_dims == 3
        convolution = convolution_for(sizes.spatial_dims)
        levels = range(len(sizes.features) - 2, -1, -1)
        self.upsample_layers = nn.ModuleList(
            Upsample(sizes.features[level + 1], sizes.features[level], stride=sizes.strides[level + 1])
            for level in levels
        )
        self.stages = nn.ModuleList(
            residual_stage(
                sizes.features[level] * (2 if level > 0 or self.concatenates_last else 1),
                sizes.features[level],
                kernel_size=sizes.kernel_sizes[level],
                stride=(1,) * sizes.spatial_dims,
                n_blocks=n_blocks,
            )
            for level, n_blocks in zip(levels, sizes.n_blocks_decoder, strict=True)
        )
        self.seg_layers = nn.ModuleList(convolution(sizes.features[level], num_classes, 1) for level in levels)

    def forward(self, maps: Sequence[Tensor]) -> Tensor | list[Tensor]:
        """Return the logits of the encoder's ``maps``, (b, features, *spatial / reduction) each.

        Returns:
            (b, num_classes, *spatial); with deep supervision the logits of all stages, highest resolution first.
        """
        x, last = maps[-1], len(self.stages) - 1
        logits = []
        for index, (upsample, stage) in enumerate(zip(self.upsample_layers, self.stages, strict=True)):
            x = upsample(x)
            if index < last or self.concatenates_last:
                x = torch.cat([x, maps[last - index]], dim=1)
            x = stage(x)
            if self.deep_supervision or index == last:
                logits.append(self.seg_layers[index](x))
        return logits[::-1] if self.deep_supervision else logits[0]


class Upsample(nn.Module):
    """Change the channels, then repeat every position ``stride`` times.

    The published order is the other one; a convolution of one tap gives the same numbers for less work in this one.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: Sequence[int]) -> None:
        super().__init__()
        self.scale = [float(factor) for factor in stride]
        self.conv = convolution_for(len(stride))(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, in_channels, *spatial) into (b, out_channels, *spatial * stride)."""
        return functional.interpolate(self.conv(x), scale_factor=self.scale, mode="nearest")


def _with_published_blocks(sizes: StageSizes) -> StageSizes:
    """Set to one what the published constructors set to one, whatever was passed."""

    def shortened(n_blocks: tuple[int, ...], n_kept: int) -> tuple[int, ...]:
        return (*n_blocks[:n_kept], *(1 for _ in n_blocks[n_kept:]))

    n_stages = len(sizes.features)
    return replace(
        sizes,
        n_blocks=shortened(sizes.n_blocks, math.ceil(n_stages / 2)),
        n_blocks_decoder=shortened(sizes.n_blocks_decoder, math.ceil((n_stages - 1) / 2 + 0.5)),
    )


def _check_input_size(input_size: Sequence[int], sizes: StageSizes) -> None:
    is_per_axis = isinstance(input_size, Sequence) and len(input_size) == sizes.spatial_dims
    if not is_per_axis or not all(is_whole(size) and size >= 1 for size in input_size):
        raise ValueError(
            f"UMambaEnc: input_size={input_size!r}, expected {sizes.spatial_dims} numbers of at least 1, one "
            f"per axis; pass the size of the patches"
        )
    require_two_positions("UMambaEnc", input_size, sizes.reductions[-1])


def _encoder_layers(input_size: Sequence[int], sizes: StageSizes) -> dict[int, MambaLayer]:
    """Return the Mamba layers by the stage they follow: all stages in 3D, the last and every other before it in 2D."""
    n_stages, total_stride = len(sizes.features), sizes.reductions[-1]
    padded = [-(-length // stride) * stride for length, stride in zip(input_size, total_stride, strict=True)]
    layers = {}
    for stage in range((n_stages - 1) % 2, n_stages, 2) if sizes.spatial_dims == 2 else range(n_stages):
        channels = sizes.features[stage]
        positions = math.prod(length // by for length, by in zip(padded, sizes.reductions[stage], strict=True))
        channels_as_tokens = positions <= channels
        layers[stage] = MambaLayer(positions if channels_as_tokens else channels, channels_as_tokens=channels_as_tokens)
    return layers


def _initialise(module: nn.Module) -> None:
    """Draw a convolution's weights as He et al. 2015 do for a leaky ReLU, with biases of 0."""
    if isinstance(module, (nn.Conv2d, nn.Conv3d)):
        nn.init.kaiming_normal_(module.weight, a=LEAKY_SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
