"""UltraLight VM-UNet: a U-Net of 49 457 parameters whose deep stages are parallel vision Mamba layers.

Source: Wu et al. 2024, "UltraLight VM-UNet: Parallel Vision Mamba Significantly Reduces Parameters for Skin Lesion
Segmentation", arXiv:2403.20035. Its variants v1 to v6: Crews and Whalen, "Mamba vs SOTA for Vision Tasks".
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Literal, get_args

from torch import nn

from nnunet_mamba.blocks.arguments import is_whole, require_flags
from nnunet_mamba.blocks.attention_bridge import AttentionBridge, SplitAttention
from nnunet_mamba.blocks.parallel_vision_mamba import ParallelVisionMamba
from nnunet_mamba.networks.compact_u_net import (
    N_DEEP_STAGES,
    CompactUNet,
    Strides,
    check_sizes,
    convolution,
    resolve_strides,
)

Mixer = Literal["pvm", "conv"]
PyramidPlaces = Literal["none", "bottleneck", "all"]


class UltraLightVMUNet(CompactUNet):
    """Segment images or volumes of any size.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        channels: of every level, highest resolution first; four levels or more, multiples of 4 but for the last.
        n_parallel: chunks of a PVM layer.
        shared_mamba: one Mamba block for all chunks of a layer, or one for each.
        bridge: whether the skips pass the attention bridge.
        split_att: the bridge's layer per level, "fc" or "conv".
        encoder_mixer: "pvm", or "conv" for a 3×3 convolution in place of each of the encoder's PVM layers (Table 5).
        decoder_mixer: the same for the decoder.
        pyramid_pooling: PVM layers that begin with pyramid pooling: "none", "bottleneck" (the deepest encoder level)
            or "all".
        spatial_dims: 2 for images, 3 for volumes.
        strides: pooling of every level but the deepest, one number per axis; None is 2 everywhere.
        deep_supervision: whether every stage of the decoder has a head, see ``CompactUNet``; the published network has
            one head.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        channels: Sequence[int] = (8, 16, 24, 32, 48, 64),
        n_parallel: int = 4,
        shared_mamba: bool = True,
        bridge: bool = True,
        split_att: SplitAttention = "fc",
        encoder_mixer: Mixer = "pvm",
        decoder_mixer: Mixer = "pvm",
        pyramid_pooling: PyramidPlaces = "none",
        spatial_dims: int = 2,
        strides: Strides | None = None,
        deep_supervision: bool = False,
    ) -> None:
        owner = type(self).__name__
        check_sizes(owner, input_channels, num_classes, channels)
        strides = resolve_strides(owner, strides, n_levels=len(channels), spatial_dims=spatial_dims)
        _check_mixers(channels, n_parallel, encoder_mixer=encoder_mixer, decoder_mixer=decoder_mixer)
        _check_pyramid(pyramid_pooling)
        require_flags(owner, shared_mamba=shared_mamba, bridge=bridge)
        deepest = len(channels) - 1
        pvm = partial(ParallelVisionMamba, n_parallel=n_parallel, shared_mamba=shared_mamba, spatial_dims=spatial_dims)

        def mixer(kind: Mixer, in_channels: int, out_channels: int, *, begins_pooled: bool) -> nn.Module:
            if kind == "conv":
                return convolution(in_channels, out_channels, spatial_dims=spatial_dims)
            return pvm(in_channels, out_channels, pyramid_pooling=begins_pooled)

        pooled_levels = {"none": (), "bottleneck": (deepest,), "all": range(len(channels))}[pyramid_pooling]
        encoder = [
            mixer(
                encoder_mixer if level > deepest - N_DEEP_STAGES else "conv",
                before,
                after,
                begins_pooled=level in pooled_levels,
            )
            for level, (before, after) in enumerate(pairwise((input_channels, *channels)))
        ]
        decoder = [
            mixer(
                decoder_mixer if level >= deepest - N_DEEP_STAGES else "conv",
                channels[level + 1],
                channels[level],
                begins_pooled=pyramid_pooling == "all",
            )
            for level in reversed(range(deepest))
        ]
        super().__init__(
            input_channels,
            num_classes,
            channels=channels,
            encoder=encoder,
            decoder=decoder,
            skips=AttentionBridge(channels[:-1], split_att=split_att, spatial_dims=spatial_dims) if bridge else None,
            strides=strides,
            deep_supervision=deep_supervision,
        )

    @property
    def published_names(self) -> dict[str, str]:
        """Our names and the published ones."""
        return {**super().published_names, "skips": "scab"}


def _check_pyramid(pyramid_pooling: str) -> None:
    if pyramid_pooling not in get_args(PyramidPlaces):
        raise ValueError(
            f"UltraLightVMUNet: pyramid_pooling={pyramid_pooling!r}, expected 'none', 'bottleneck' or 'all'; pass one"
        )


def _check_mixers(channels: Sequence[int], n_parallel: int, *, encoder_mixer: str, decoder_mixer: str) -> None:
    for name, kind in {"encoder_mixer": encoder_mixer, "decoder_mixer": decoder_mixer}.items():
        if kind not in get_args(Mixer):
            raise ValueError(f"UltraLightVMUNet: {name}={kind!r}, expected 'pvm' or 'conv'; pass one of them")
    if not is_whole(n_parallel) or n_parallel < 1:
        raise ValueError(f"UltraLightVMUNet: n_parallel={n_parallel!r}, expected at least 1; the paper's is 4")
    deepest = len(channels) - 1
    mixed_levels = {
        *(range(deepest - N_DEEP_STAGES, deepest) if encoder_mixer == "pvm" else ()),
        *(range(deepest - N_DEEP_STAGES + 1, deepest + 1) if decoder_mixer == "pvm" else ()),
    }
    for level in sorted(mixed_levels):
        if channels[level] % n_parallel:
            raise ValueError(
                f"UltraLightVMUNet: channels[{level}]={channels[level]} cannot be split into n_parallel={n_parallel} "
                f"equal chunks; choose channels that are multiples of {n_parallel}, or another n_parallel"
            )
