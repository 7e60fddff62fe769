"""UltraLBM-UNet: a U-Net of 34 166 parameters whose deep stages see each quarter of their channels in its own way.

Source: Fan et al. 2025, "UltraLBM-UNet: Ultralight Bidirectional Mamba-based Model for Skin Lesion Segmentation".
"""

from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import is_whole, require_flags, require_sequence
from nnunet_mamba.blocks.bidirectional_mamba import Directions, Flip, check_directions
from nnunet_mamba.blocks.local_global_perception import (
    GLOBAL_LOCAL,
    LOCAL,
    N_BRANCHES,
    Branch,
    LocalGlobalPerception,
    check_branches,
)
from nnunet_mamba.networks.compact_u_net import (
    N_DEEP_STAGES,
    CompactUNet,
    Strides,
    check_sizes,
    convolution,
    resolve_strides,
)

Mixer = Literal["glmbp", "lmbp", "conv"]
SkipScale = Literal["shared", "stage", "none"]


class UltraLBMUNet(CompactUNet):
    """Segment images or volumes of any size.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        channels: of every level, highest resolution first; four levels or more, multiples of 4.
        mixers: of the last three encoder stages, and of the first three decoder stages in the opposite order: "glmbp",
            "lmbp", or "conv" for a 3×3 convolution in the block's place (Table 4).
        kernel_sizes: taps of these stages' separable convolutions, in the order of ``mixers``, odd.
        branches: of a GLMBP block, see ``LocalGlobalPerception``.
        local_branches: of an LMBP block.
        directions: "both", or "forward" for tokens that see only those before them.
        shared_mamba: one Mamba for both directions of a block, or one for each.
        flip: what the backward direction turns around: "sequence" as in the paper, "channels" as in the published
            code, whose weights need it.
        skip_scale: factor of the skips, learnt: "shared" by all levels, one for each ("stage"), or "none".
        spatial_dims: 2 for images, 3 for volumes.
        strides: pooling of every level but the deepest, one number per axis; None is 2 everywhere.
        deep_supervision: whether every stage of the decoder has a head, see ``CompactUNet``; the published network has
            one head.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    published_notice: ClassVar[str] = (
        "UltraLBM-UNet's published code turns the channels around where its paper, and the trainer, turn the sequence: "
        "weights of that code begin a training, but do not compute the same without one"
    )

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        channels: Sequence[int] = (8, 16, 24, 32, 48, 64),
        mixers: Sequence[Mixer] = ("lmbp", "glmbp", "glmbp"),
        kernel_sizes: Sequence[int] = (3, 5, 7),
        branches: Sequence[Branch] = GLOBAL_LOCAL,
        local_branches: Sequence[Branch] = LOCAL,
        directions: Directions = "both",
        shared_mamba: bool = True,
        flip: Flip = "sequence",
        skip_scale: SkipScale = "shared",
        spatial_dims: int = 2,
        strides: Strides | None = None,
        deep_supervision: bool = False,
    ) -> None:
        owner = type(self).__name__
        check_sizes(owner, input_channels, num_classes, channels)
        strides = resolve_strides(owner, strides, n_levels=len(channels), spatial_dims=spatial_dims)
        check_branches(owner, branches)
        check_branches(owner, local_branches, argument="local_branches")
        require_flags(owner, shared_mamba=shared_mamba)
        check_directions(owner, directions=directions, flip=flip)
        _check_mixers(owner, channels, mixers, kernel_sizes=kernel_sizes)
        skips = _scaled_skips(owner, skip_scale, n_skips=len(channels) - 1)

        def stage(in_channels: int, out_channels: int, depth: int) -> nn.Module:
            """Return what mixes a stage: ``depth`` counts the mixed stages on a side, 0 the one of most positions."""
            if depth < 0 or mixers[depth] == "conv":
                return convolution(in_channels, out_channels, spatial_dims=spatial_dims)
            return LocalGlobalPerception(
                in_channels,
                out_channels,
                branches=branches if mixers[depth] == "glmbp" else local_branches,
                kernel_size=kernel_sizes[depth],
                directions=directions,
                shared_mamba=shared_mamba,
                flip=flip,
                spatial_dims=spatial_dims,
            )

        widths = (input_channels, *channels)
        n_shallow = len(channels) - N_DEEP_STAGES
        encoder = [stage(widths[level], widths[level + 1], level - n_shallow) for level in range(len(channels))]
        decoder = [
            stage(channels[level + 1], channels[level], level + 1 - n_shallow)
            for level in reversed(range(len(channels) - 1))
        ]
        super().__init__(
            input_channels,
            num_classes,
            channels=channels,
            encoder=encoder,
            decoder=decoder,
            skips=skips,
            strides=strides,
            deep_supervision=deep_supervision,
        )

    @property
    def published_names(self) -> dict[str, str]:
        """Our names and the published ones."""
        return {**super().published_names, "skips.scale": "k"}


class ScaledSkips(nn.Module):
    """Multiply the skips by learnt factors, which begin at 1.

    Args:
        shape: () for one factor, (n,) for one of each skip.

    Source:
        Fan et al. 2025, "UltraLBM-UNet", equation 11.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(shape))

    def forward(self, skips: Sequence[Tensor]) -> list[Tensor]:
        """Return the scaled ``skips``, (b, c_i, *spatial_i) each, in their order and shapes."""
        return [skip * scale for skip, scale in zip(skips, self.scale.expand(len(skips)), strict=True)]


def _scaled_skips(owner: str, kind: SkipScale, *, n_skips: int) -> ScaledSkips | None:
    if kind not in get_args(SkipScale):
        raise ValueError(f"{owner}: skip_scale={kind!r}, expected 'shared', 'stage' or 'none'; pass one of them")
    if kind == "none":
        return None
    return ScaledSkips(() if kind == "shared" else (n_skips,))


def _check_mixers(owner: str, channels: Sequence[int], mixers: Sequence[str], *, kernel_sizes: Sequence[int]) -> None:
    for name, values in {"mixers": mixers, "kernel_sizes": kernel_sizes}.items():
        require_sequence(owner, name, values, of="one entry a stage")
        if len(values) != N_DEEP_STAGES:
            raise ValueError(
                f"{owner}: {name}={tuple(values)} has {len(values)} entries, expected {N_DEEP_STAGES}: one for each of "
                f"the last {N_DEEP_STAGES} encoder stages; the decoder mirrors them"
            )
    for i, kind in enumerate(mixers):
        if kind not in get_args(Mixer):
            raise ValueError(f"{owner}: mixers[{i}]={kind!r}, expected 'glmbp', 'lmbp' or 'conv'; pass one of them")
    for i, taps in enumerate(kernel_sizes):
        if not is_whole(taps) or taps < 1 or taps % 2 == 0:
            raise ValueError(
                f"{owner}: kernel_sizes[{i}]={taps!r}, expected a positive odd number; the paper's are 3, 5, 7"
            )
    first = len(channels) - N_DEEP_STAGES
    for i, kind in enumerate(mixers):
        # The encoder's block splits the level above, the decoder's the stage's own.
        for level in (first + i - 1, first + i):
            if kind != "conv" and channels[level] % N_BRANCHES:
                raise ValueError(
                    f"{owner}: channels[{level}]={channels[level]} cannot be split into {N_BRANCHES} equal chunks; "
                    f"choose a multiple of {N_BRANCHES}"
                )
