"""The encoder that VM-UNet and VMamba's classification networks share: patches, then stages of VSS blocks.

Source: Liu et al. 2024, "VMamba", arXiv:2401.10166, first generation (version 0); Ruan et al. 2024, "VM-UNet",
arXiv:2402.02491.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import is_whole, require_sequence, require_whole
from nnunet_mamba.blocks.patch_resampling import PatchEmbedding, PatchMerging
from nnunet_mamba.blocks.vss_block import VSSBlock
from nnunet_mamba.networks.input_images import require_images

PATCH_SIZE = 4
# The published network reads grey images as colour ones, so that one set of pretrained weights serves both.
COLOURS = 3


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
