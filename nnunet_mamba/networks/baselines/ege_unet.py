"""EGE-UNet: a U-Net of 53 374 parameters whose skips are refined by masks that the decoder draws on its way.

Source: Ruan et al. 2023, "EGE-UNet: an Efficient Group Enhanced UNet for skin lesion segmentation", arXiv:2307.08473.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_flags
from nnunet_mamba.blocks.baselines.group_aggregation_bridge import GroupAggregationBridge
from nnunet_mamba.blocks.baselines.multi_axis_product import MultiAxisProduct
from nnunet_mamba.networks.compact_u_net import (
    DecoderStage,
    EncoderStage,
    check_sizes,
    initialise,
    mixers_by_level,
    published_stage_names,
    upsample,
)
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork

STRIDE = (2, 2)


class EGEUNet(SegmentationNetwork):
    """Segment images of any height and width.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        channels: of every level, highest resolution first; four levels or more, multiples of 4.
        deep_supervision: whether the masks have heads, and the result is a list of logits while
            ``decoder.deep_supervision`` is True, all of the image's resolution: of the last stage, then of the masks,
            the one of the highest resolution first. A mask has one channel, from which a head makes the logits of all
            classes. Heads begin such that the mask's logits are those of all classes but the first or, with one class,
            its own, as published.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        channels: Sequence[int] = (8, 16, 24, 32, 48, 64),
        deep_supervision: bool = False,
    ) -> None:
        check_sizes("EGEUNet", input_channels, num_classes, channels)
        require_flags("EGEUNet", deep_supervision=deep_supervision)
        n_poolings = len(channels) - 1
        super().__init__(
            input_channels,
            size_multiple=(2**n_poolings,) * 2,
            output_reductions=((1, 1),) * (1 + n_poolings if deep_supervision else 1),
        )
        encoder, decoder = mixers_by_level(
            input_channels, channels, deep_encoder=MultiAxisProduct, deep_decoder=MultiAxisProduct
        )
        self.encoder = nn.ModuleList(
            EncoderStage(mixer, width, STRIDE) for mixer, width in zip(encoder[:-1], channels[:-1], strict=True)
        )
        self.bottleneck = encoder[-1]
        self.decoder = GuidedDecoder(decoder, channels[::-1], num_classes, deep_supervision=deep_supervision)
        self.apply(initialise)
        for head in self.decoder.seg_layers[1:]:
            _begin_as_all_but_the_first(head.weight)

    @property
    def published_names(self) -> dict[str, str]:
        """Our names and the published ones: bridges are numbered by their level, everything else by its order."""
        n_poolings = len(self.encoder)
        names = published_stage_names(n_poolings)
        for i in range(n_poolings):
            names[f"decoder.bridges.{i}"] = f"GAB{n_poolings - i}"
            names[f"decoder.masks.{i}"] = f"gt_conv{i + 1}.0"
        return names

    def segment(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return the logits of padded images ``x``, (b, c, h, w); a list with deep supervision."""
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        logits: Tensor | list[Tensor] = self.decoder(functional.gelu(self.bottleneck(x)), skips)
        return logits


class GuidedDecoder(nn.Module):
    """Bring the bottleneck back to the resolution of the image; every stage draws a mask, which refines its skip.

    Args:
        mixers: of every stage, deepest first.
        channels: of the bottleneck and of what the stages return, deepest first.
        num_classes: channels of the logits.
        deep_supervision: whether the masks have heads; ``forward`` returns the logits of all of them while the
            attribute of this name is True, which may be set at any time.
    """

    def __init__(
        self, mixers: Sequence[nn.Module], channels: Sequence[int], num_classes: int, *, deep_supervision: bool
    ) -> None:
        super().__init__()
        self.deep_supervision = deep_supervision
        # The deepest skip has the bottleneck's resolution.
        factors = (None, *(STRIDE for _ in mixers[1:]))
        self.stages = nn.ModuleList(
            DecoderStage(mixer, width, factor)
            for mixer, width, factor in zip(mixers, channels[1:], factors, strict=True)
        )
        self.masks = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in channels[1:])
        self.bridges = nn.ModuleList(GroupAggregationBridge(below, width) for below, width in pairwise(channels))
        of_masks = (nn.Conv2d(1, num_classes, 1) for _ in self.masks) if deep_supervision else ()
        self.seg_layers = nn.ModuleList([nn.Conv2d(channels[-1], num_classes, 1), *of_masks])

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> Tensor | list[Tensor]:
        """Return the logits of the bottleneck's map ``x``; ``skips`` are (b, c_i, h_i, w_i), highest resolution first.

        The masks are there whether their logits are asked for or not.
        """
        below, masks = x, []
        for stage, draw, bridge, skip in zip(self.stages, self.masks, self.bridges, reversed(skips), strict=True):
            x = stage(x)
            masks.append(draw(x))
            below = bridge(below, skip, masks[-1])
            x = x + below
        # Few channels are interpolated faster one by one, and what follows expects the plain layout.
        logits = upsample(self.seg_layers[0](x).contiguous(), STRIDE)
        if not self.deep_supervision:
            return logits
        size = logits.shape[2:]
        supervised = [head(mask).contiguous() for head, mask in zip(self.seg_layers[1:], reversed(masks), strict=True)]
        return [
            logits,
            *(functional.interpolate(each, size=size, mode="bilinear", align_corners=True) for each in supervised),
        ]


@torch.no_grad()
def _begin_as_all_but_the_first(weight: Tensor) -> None:
    """Set a head's weights, (num_classes, 1, 1, 1), such that the softmax of two classes is the mask's sigmoid."""
    weight.fill_(1.0 if len(weight) == 1 else 0.5)
    if len(weight) > 1:
        weight[0] = -0.5
