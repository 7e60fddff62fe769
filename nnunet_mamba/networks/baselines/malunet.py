"""MALUNet: a U-Net of 177 943 parameters whose deep stages have external and dilated gated attention.

Source: Ruan et al. 2022, "MALUNet: A Multi-Attention and Light-weight UNet for Skin Lesion Segmentation",
arXiv:2211.01784. UltraLight VM-UNet has its skeleton and its bridge.
"""

from collections.abc import Sequence

from torch import nn

from nnunet_mamba.blocks.arguments import require_flags
from nnunet_mamba.blocks.attention_bridge import AttentionBridge, SplitAttention
from nnunet_mamba.blocks.baselines.dilated_gated_attention import DilatedGatedAttention
from nnunet_mamba.blocks.baselines.external_attention import ExternalAttention
from nnunet_mamba.networks.compact_u_net import (
    N_DEEP_STAGES,
    CompactUNet,
    check_sizes,
    mixers_by_level,
    resolve_strides,
)


class MALUNet(CompactUNet):
    """Segment images of any height and width.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        channels: of every level, highest resolution first; four levels or more, multiples of 4.
        bridge: whether the skips pass the attention bridge.
        split_att: the bridge's layer per level, "fc" or "conv".
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
        bridge: bool = True,
        split_att: SplitAttention = "fc",
        deep_supervision: bool = False,
    ) -> None:
        check_sizes("MALUNet", input_channels, num_classes, channels)
        require_flags("MALUNet", bridge=bridge)
        encoder, decoder = mixers_by_level(
            input_channels,
            channels,
            deep_encoder=lambda before, after: nn.Sequential(
                ExternalAttention(before), DilatedGatedAttention(before, after)
            ),
            deep_decoder=lambda below, after: nn.Sequential(
                DilatedGatedAttention(below, after), ExternalAttention(after)
            ),
        )
        super().__init__(
            input_channels,
            num_classes,
            channels=channels,
            encoder=encoder,
            decoder=decoder,
            skips=AttentionBridge(channels[:-1], split_att=split_att) if bridge else None,
            strides=resolve_strides("MALUNet", None, n_levels=len(channels), spatial_dims=2),
            deep_supervision=deep_supervision,
        )
        for module in self.modules():
            if isinstance(module, ExternalAttention):
                module.begin_with_one_memory()

    @property
    def published_names(self) -> dict[str, str]:
        """Our names and the published ones: two blocks that mix a stage are numbered as here."""
        names = {**super().published_names, "skips": "scab", "bottleneck": f"encoder{len(self.encoder) + 1}"}
        for i in range(len(self.encoder) + 1 - N_DEEP_STAGES, len(self.encoder)):
            names[f"encoder.{i}.mixer"] = f"encoder{i + 1}"
        for i in range(N_DEEP_STAGES):
            names[f"decoder.stages.{i}.mixer"] = f"decoder{i + 1}"
        return names
