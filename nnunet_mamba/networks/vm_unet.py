"""VM-UNet: a U-Net of VSS blocks only, whose encoder may begin with the weights of a VMamba classification network.

Source: Ruan et al. 2024, "VM-UNet: Vision Mamba UNet for Medical Image Segmentation", arXiv:2402.02491.
"""

import re
from collections.abc import Collection, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import (
    is_whole,
    require_flags,
    require_probability,
    require_sequence,
    require_whole,
)
from nnunet_mamba.blocks.patch_resampling import PatchEmbedding, PatchExpanding, PatchMerging
from nnunet_mamba.blocks.vss_block import VSSBlock
from nnunet_mamba.networks.input_images import require_images, require_positive
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork, WeightsOrigin

PATCH_SIZE = 4
# The published network reads grey images as colour ones, so that one set of pretrained weights serves both.
COLOURS = 3


class VMUNet(SegmentationNetwork):
    """Segment images of any height and width; a grey image is taken as three equal colours.

    Args:
        input_channels: channels of the images.
        num_classes: channels of the logits.
        dims: channels of the encoder's stages, each twice the one before; the decoder's are the same, reversed.
        depths: VSS blocks of the encoder's stages.
        depths_decoder: VSS blocks of the decoder's stages, deepest first.
        drop_path_rate: probability that training leaves out the last block of the encoder, and the first one of the
            decoder; it falls linearly to 0 towards the other end of each.
        d_state: size n of the scans' states.
        scan: False leaves the scans out and keeps the rest.
        deep_supervision: whether every stage of the decoder has a head, and the result is a list of their logits while
            ``decoder.deep_supervision`` is True: of the image's resolution, then of the stages before the last one,
            the highest resolution first; the published network has one head.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.
    """

    published_prefix: ClassVar[str] = "vmunet."

    def __init__(
        self,
        input_channels: int,
        num_classes: int,
        *,
        dims: Sequence[int] = (96, 192, 384, 768),
        depths: Sequence[int] = (2, 2, 2, 2),
        depths_decoder: Sequence[int] = (2, 2, 2, 1),
        drop_path_rate: float = 0.2,
        d_state: int = 16,
        scan: bool = True,
        deep_supervision: bool = False,
    ) -> None:
        require_flags("VMUNet", scan=scan, deep_supervision=deep_supervision)
        require_probability("VMUNet", "drop_path_rate", drop_path_rate)
        require_whole("VMUNet", d_state=d_state)
        require_positive("VMUNet", input_channels=input_channels, num_classes=num_classes)
        check_stages("VMUNet", dims, depths=depths, depths_decoder=depths_decoder)
        # The last stage of the decoder has the patches' resolution, its logits the image's.
        reductions = [(PATCH_SIZE * 2**level,) * 2 for level in range(len(dims))]
        super().__init__(
            input_channels,
            size_multiple=reductions[-1],
            output_reductions=((1, 1), *(reductions[1:] if deep_supervision else ())),
        )
        self.patch_embed = patch_embedding(input_channels, dims[0])
        self.layers = encoder_stages(dims, drop_path_rates(drop_path_rate, depths), d_state=d_state, scan=scan)
        decoder_rates = drop_path_rates(drop_path_rate, depths_decoder[::-1])
        reversed_rates = [rates[::-1] for rates in reversed(decoder_rates)]
        self.decoder = Decoder(
            num_classes, dims[::-1], reversed_rates, d_state=d_state, scan=scan, deep_supervision=deep_supervision
        )
        self.apply(initialise)

    @property
    def published_names(self) -> dict[str, str]:
        """Our names and the published ones."""
        return {
            "decoder.layers_up": "layers_up",
            "decoder.final_up": "final_up",
            "decoder.seg_layers.0": "final_conv",
        }

    def check_images(self, x: Tensor) -> None:
        """Refuse what is no batch of images; a network for colour images takes grey ones as well."""
        check_colours("VMUNet", x, self.input_channels)

    def segment(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return the logits of padded images ``x``, (b, c, h, w); a list with deep supervision."""
        if x.shape[1] == 1:
            x = x.expand(-1, COLOURS, -1, -1)
        x = self.patch_embed(x)  # (b, h / 4, w / 4, dims[0])
        skips = []
        for stage in self.layers:
            x = stage(x)
            skips.append(x)
        logits: Tensor | list[Tensor] = self.decoder(x, skips[:-1])
        return logits

    @classmethod
    def recognise_weights(cls, names: Collection[str], *, network: type[nn.Module]) -> WeightsOrigin | None:
        """Return whose weights these are, if they are VM-UNet's or VMamba's of either generation."""
        if any((name.startswith("layers.") and ".op." in name) or name.startswith("classifier.") for name in names):
            return WeightsOrigin(
                "These look like the weights of VMamba's second generation (vmambav2: classifier.head, "
                "layers.0.blocks.0.op), whose blocks are others; VM-UNet begins with those of the first (version 0: "
                "head, layers.0.blocks.0.self_attention), such as vmamba_small_e238_ema.pth"
            )
        if network is not cls and any("self_attention.x_proj_weight" in name for name in names):
            return WeightsOrigin("These look like the weights of VM-UNet or VMamba", networks=("vm_unet",))
        return None

    def is_backbone(self, names: Collection[str]) -> bool:
        """Return whether weights with these names are a VMamba classification network's."""
        return "head.weight" in names and not any(name.startswith("layers_up.") for name in names)

    def backbone_name(self, name: str) -> str | None:
        """Return the VMamba name of the weights that the published parameter ``name`` begins with, or None.

        Encoder and decoder stages of one resolution begin with the same blocks.
        """
        in_decoder = re.fullmatch(r"layers_up\.(\d+)\.(blocks\..*)", name)
        if in_decoder:
            return f"layers.{len(self.layers) - 1 - int(in_decoder[1])}.{in_decoder[2]}"
        return name if name.startswith(("patch_embed.", "layers.")) else None


class DecoderStage(nn.Module):
    """The way from the resolution below, if there is one, then VSS blocks."""

    def __init__(self, dim: int, drop_paths: Sequence[float], *, d_state: int, scan: bool, expands: bool) -> None:
        super().__init__()
        self.upsample = PatchExpanding(2 * dim, factor=2, out_channels=dim) if expands else None
        self.blocks = vss_blocks(dim, drop_paths, d_state=d_state, scan=scan)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, h, w, 2 * dim) into (b, 2h, 2w, dim), or keep the shape at the first stage."""
        x = x if self.upsample is None else self.upsample(x)
        blocks: Tensor = self.blocks(x)
        return blocks


class Decoder(nn.Module):
    """Bring the deepest map back to the resolution of the image.

    Args:
        num_classes: channels of the logits.
        dims: channels of the stages, deepest first.
        drop_paths: of every block of every stage.
        d_state: size n of the scans' states.
        scan: whether the blocks scan.
        deep_supervision: whether all stages have a head; ``forward`` returns the logits of all of them while the
            attribute of this name is True, which may be set at any time.
    """

    def __init__(
        self,
        num_classes: int,
        dims: Sequence[int],
        drop_paths: Sequence[Sequence[float]],
        *,
        d_state: int,
        scan: bool,
        deep_supervision: bool,
    ) -> None:
        super().__init__()
        self.deep_supervision = deep_supervision
        self.layers_up = nn.ModuleList(
            DecoderStage(dim, rates, d_state=d_state, scan=scan, expands=level > 0)
            for level, (dim, rates) in enumerate(zip(dims, drop_paths, strict=True))
        )
        out_channels = dims[-1] // PATCH_SIZE
        self.final_up = PatchExpanding(dims[-1], factor=PATCH_SIZE, out_channels=out_channels)
        # The first head is the published one, whether there are others or not.
        widths = (out_channels, *(dims[-2::-1] if deep_supervision else ()))
        self.seg_layers = nn.ModuleList(nn.Conv2d(width, num_classes, 1) for width in widths)

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> Tensor | list[Tensor]:
        """Return the logits of the deepest map ``x``; ``skips`` are what the stages before it returned."""
        last = len(self.layers_up) - 1
        coarser: list[Tensor] = []
        x = self.layers_up[0](x)
        for index, (stage, skip) in enumerate(zip(self.layers_up[1:], reversed(skips), strict=True)):
            if self.deep_supervision:
                coarser.append(self.seg_layers[last - index](x.permute(0, 3, 1, 2)))
            x = stage(x + skip)
        logits = self._patch_logits(x)
        return [logits, *reversed(coarser)] if self.deep_supervision else logits

    def _patch_logits(self, x: Tensor) -> Tensor:
        """Turn the last stage's map, (b, h, w, c), into logits (b, num_classes, PATCH_SIZE * h, PATCH_SIZE * w)."""
        # The head sees single pixels, so it can read the patches before they are laid out: the logits are fewer.
        patches = self.final_up.patches(x)  # (b, h, w, 4, 4, c)
        b, h, w, factor, _, c = patches.shape
        logits = self.seg_layers[0](patches.reshape(b, h * w, factor * factor, c).permute(0, 3, 1, 2))
        laid_out: Tensor = logits.unflatten(3, (factor, factor)).unflatten(2, (h, w)).transpose(3, 4)
        return laid_out.flatten(4, 5).flatten(2, 3)


def patch_embedding(input_channels: int, dim: int) -> PatchEmbedding:
    """Return what turns images into the first stage's tokens; grey images are three equal colours."""
    return PatchEmbedding(COLOURS if input_channels == 1 else input_channels, dim, patch_size=PATCH_SIZE)


def encoder_stages(
    dims: Sequence[int], drop_paths: Sequence[Sequence[float]], *, d_state: int, scan: bool
) -> nn.ModuleList:
    """Return the stages.

    Args:
        dims: channels of each.
        drop_paths: of every block of each, see ``drop_path_rates``.
        d_state: size n of the scans' states.
        scan: whether the blocks scan.
    """
    last = len(dims) - 1
    return nn.ModuleList(
        EncoderStage(dim, rates, d_state=d_state, scan=scan, merges=level < last)
        for level, (dim, rates) in enumerate(zip(dims, drop_paths, strict=True))
    )


class EncoderStage(nn.Module):
    """VSS blocks at one resolution, then the way to the next one, if there is one."""

    def __init__(self, dim: int, drop_paths: Sequence[float], *, d_state: int, scan: bool, merges: bool) -> None:
        super().__init__()
        self.blocks = vss_blocks(dim, drop_paths, d_state=d_state, scan=scan)
        self.downsample = PatchMerging(dim) if merges else None

    def forward(self, x: Tensor) -> Tensor:
        """Turn (b, h, w, dim) into (b, h / 2, w / 2, 2 * dim), or into its own shape at the last stage."""
        x = self.blocks(x)
        return x if self.downsample is None else self.downsample(x)


def vss_blocks(dim: int, drop_paths: Sequence[float], *, d_state: int, scan: bool) -> nn.Sequential:
    """Return a VSS block for each of the ``drop_paths``."""
    return nn.Sequential(*(VSSBlock(dim, drop_path=rate, d_state=d_state, scan=scan) for rate in drop_paths))


def drop_path_rates(rate: float, depths: Sequence[int]) -> list[list[float]]:
    """Return rates that grow linearly from 0 to ``rate`` over all blocks, by stage."""
    rates = torch.linspace(0, rate, sum(depths), device="cpu").tolist()
    ends = [sum(depths[: stage + 1]) for stage in range(len(depths))]
    return [rates[end - depth : end] for depth, end in zip(depths, ends, strict=True)]


def initialise(module: nn.Module) -> None:
    """Set the weights of a linear layer as the published code does; leave other layers as they are."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)


def check_colours(owner: str, x: Tensor, input_channels: int) -> None:
    """Refuse what is no batch of images; a network for colour images takes grey ones as well.

    Args:
        owner: the network, named in the error.
        x: what it was given.
        input_channels: that it was created for.
    """
    is_grey = isinstance(x, Tensor) and x.ndim == 4 and x.shape[1] == 1 and input_channels == COLOURS
    require_images(owner, x, input_channels=1 if is_grey else input_channels, spatial_dims=2)


def check_stages(owner: str, dims: Sequence[int], **depths: Sequence[int]) -> None:
    """Raise a ValueError if sizes of stages do not fit together.

    Args:
        owner: the network, named in the error.
        dims: channels of the stages.
        depths: blocks of the stages, by the argument's name.
    """
    require_sequence(owner, "dims", dims, of="channel numbers")
    if not dims:
        raise ValueError(f"{owner}: dims=(), expected at least one stage; the paper's are (96, 192, 384, 768)")
    for level, dim in enumerate(dims):
        require_whole(owner, **{f"dims[{level}]": dim})
    for name, values in depths.items():
        require_sequence(owner, name, values, of="numbers of blocks")
        if len(values) != len(dims) or not all(is_whole(depth) and depth >= 1 for depth in values):
            raise ValueError(
                f"{owner}: {name}={tuple(values)} for dims={tuple(dims)}, expected one number >= 1 for each of the "
                f"{len(dims)} stages; the paper's are (2, 2, 2, 2) and (2, 2, 2, 1)"
            )
    if dims[0] % PATCH_SIZE or dims[0] < 1:
        raise ValueError(
            f"{owner}: dims[0]={dims[0]}, expected a positive multiple of {PATCH_SIZE} (VM-UNet's last expanding "
            f"divides it); nearest is {max(1, round(dims[0] / PATCH_SIZE)) * PATCH_SIZE}"
        )
    for level in range(1, len(dims)):
        if dims[level] != 2 * dims[level - 1]:
            raise ValueError(
                f"{owner}: dims[{level}]={dims[level]} after {dims[level - 1]}, expected {2 * dims[level - 1]}: "
                f"merging patches doubles the channels; pass dims that double from stage to stage"
            )
