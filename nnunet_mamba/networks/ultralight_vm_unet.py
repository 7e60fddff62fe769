"""UltraLight VM-UNet: a U-Net of 49 457 parameters whose deep stages are parallel vision Mamba layers.

Source: Wu et al. 2024, "UltraLight VM-UNet: Parallel Vision Mamba Significantly Reduces Parameters for Skin Lesion
Segmentation", arXiv:2403.20035.
"""

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.attention_bridge import AttentionBridge, SplitAttention
from nnunet_mamba.blocks.pad_to_multiple import pad_to_multiple
from nnunet_mamba.blocks.parallel_vision_mamba import ParallelVisionMamba

Mixer = Literal["pvm", "conv"]
NORM_GROUPS = 4
# Tokens are mixed in the last three encoder stages and the first three decoder stages, whatever the depth.
N_DEEP_STAGES = 3


class UltraLightVMUNet(nn.Module):
    """Segment images of any height and width.

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
    ) -> None:
        super().__init__()
        _check_sizes(input_channels, num_classes, channels)
        _check_mixers(channels, n_parallel, encoder_mixer=encoder_mixer, decoder_mixer=decoder_mixer)

        def mixer(kind: Mixer, in_channels: int, out_channels: int, *, is_deep: bool) -> nn.Module:
            if is_deep and kind == "pvm":
                return ParallelVisionMamba(in_channels, out_channels, n_parallel=n_parallel, shared_mamba=shared_mamba)
            return nn.Conv2d(in_channels, out_channels, 3, padding=1)

        self.input_channels = input_channels
        n_stages = len(channels) - 1
        widths = (input_channels, *channels)
        encoder = [
            mixer(encoder_mixer, widths[i], widths[i + 1], is_deep=i + N_DEEP_STAGES > n_stages)
            for i in range(len(channels))
        ]
        decoder = [
            mixer(decoder_mixer, channels[i + 1], channels[i], is_deep=n_stages - i <= N_DEEP_STAGES)
            for i in reversed(range(n_stages))
        ]
        self.encoder = nn.ModuleList(EncoderStage(m, c) for m, c in zip(encoder[:-1], channels[:-1], strict=True))
        self.bottleneck = encoder[-1]
        self.bridge = AttentionBridge(channels[:-1], split_att=split_att) if bridge else None
        self.decoder = nn.ModuleList(
            DecoderStage(m, c, upsamples=i > 0) for i, (m, c) in enumerate(zip(decoder, channels[-2::-1], strict=True))
        )
        self.seg_layers = nn.ModuleList([nn.Conv2d(channels[0], num_classes, 1)])
        self.apply(_initialise)

    @property
    def published_names(self) -> dict[str, str]:
        """Our module names and the published ones."""
        names = {"bottleneck": f"encoder{len(self.encoder) + 1}.0", "bridge": "scab", "seg_layers.0": "final"}
        for i in range(len(self.encoder)):
            names[f"encoder.{i}.mixer"] = f"encoder{i + 1}.0"
            names[f"encoder.{i}.norm"] = f"ebn{i + 1}"
            names[f"decoder.{i}.mixer"] = f"decoder{i + 1}.0"
            names[f"decoder.{i}.norm"] = f"dbn{i + 1}"
        return names

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (b, num_classes, h, w) of images ``x``, (b, input_channels, h, w)."""
        if x.ndim != 4 or x.shape[1] != self.input_channels or 0 in x.shape:
            raise ValueError(
                f"UltraLightVMUNet: input of shape {tuple(x.shape)}, expected (b, {self.input_channels}, h, w): this "
                f"network takes 2D images with {self.input_channels} channels; pass slices of a volume as a batch, or "
                f"create the network with another input_channels"
            )
        height, width = x.shape[2:]
        x = pad_to_multiple(x, 2 ** len(self.encoder))
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        x = functional.gelu(self.bottleneck(x))
        if self.bridge is not None:
            skips = self.bridge(skips)
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            x = stage(x) + skip
        return _upsample(self.seg_layers[0](x))[..., :height, :width]


class EncoderStage(nn.Module):
    """Mix, normalise, halve the resolution."""

    def __init__(self, mixer: nn.Module, out_channels: int) -> None:
        super().__init__()
        self.mixer = mixer
        self.norm = nn.GroupNorm(NORM_GROUPS, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, c, h, w) into (b, out_channels, h / 2, w / 2)."""
        return functional.gelu(functional.max_pool2d(self.norm(self.mixer(x)), 2))


class DecoderStage(nn.Module):
    """Mix, normalise, double the resolution (but for the deepest stage, which already has its skip's)."""

    def __init__(self, mixer: nn.Module, out_channels: int, *, upsamples: bool) -> None:
        super().__init__()
        self.mixer = mixer
        self.norm = nn.GroupNorm(NORM_GROUPS, out_channels)
        self.upsamples = upsamples

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, c, h, w) into (b, out_channels, h, w) or (b, out_channels, 2h, 2w)."""
        x = self.norm(self.mixer(x))
        return functional.gelu(_upsample(x) if self.upsamples else x)


def _upsample(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def _initialise(module: nn.Module) -> None:
    """Set the published initial values; a Mamba block's step size projection is among the linear layers."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, (nn.Conv1d, nn.Conv2d)):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _check_sizes(input_channels: int, num_classes: int, channels: Sequence[int]) -> None:
    for name, number in {"input_channels": input_channels, "num_classes": num_classes}.items():
        if number < 1:
            raise ValueError(f"UltraLightVMUNet: {name}={number}, expected at least 1; pass the data's own number")
    if len(channels) <= N_DEEP_STAGES:
        raise ValueError(
            f"UltraLightVMUNet: channels={tuple(channels)} has {len(channels)} levels, expected at least "
            f"{N_DEEP_STAGES + 1}; add levels"
        )
    for level, number in enumerate(channels):
        divisor = NORM_GROUPS if level < len(channels) - 1 else 1
        if number < 1 or number % divisor:
            raise ValueError(
                f"UltraLightVMUNet: channels[{level}]={number}, expected a positive multiple of {divisor} (the group "
                f"norm's groups); nearest is {max(1, round(number / divisor)) * divisor}"
            )


def _check_mixers(channels: Sequence[int], n_parallel: int, *, encoder_mixer: str, decoder_mixer: str) -> None:
    for name, kind in {"encoder_mixer": encoder_mixer, "decoder_mixer": decoder_mixer}.items():
        if kind not in get_args(Mixer):
            raise ValueError(f"UltraLightVMUNet: {name}={kind!r}, expected 'pvm' or 'conv'; pass one of them")
    if n_parallel < 1:
        raise ValueError(f"UltraLightVMUNet: n_parallel={n_parallel}, expected at least 1; the paper's is 4")
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
