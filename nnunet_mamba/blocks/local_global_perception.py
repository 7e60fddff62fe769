"""The multi-branch perception blocks of UltraLBM-UNet: each chunk of the channels sees the image in its own way.

Global-local (GLMBP): two chunks are mixed over the whole image by one Mamba in both directions, one locally by a
convolution, one passes. Local (LMBP): three chunks are convolved, one passes.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import (
    require_flags,
    require_sequence,
    require_spatial_dims,
    require_whole,
)
from nnunet_mamba.blocks.bidirectional_mamba import BidirectionalMamba, Directions, Flip, check_directions
from nnunet_mamba.blocks.self_attention import SelfAttention
from nnunet_mamba.blocks.separable_convolution import SeparableConvolution

Branch = Literal["mamba", "attention", "conv", "identity"]
N_BRANCHES = 4
GLOBAL_LOCAL: tuple[Branch, ...] = ("mamba", "mamba", "conv", "identity")
LOCAL: tuple[Branch, ...] = ("conv", "conv", "conv", "identity")


class LocalGlobalPerception(nn.Module):
    """Mix the positions of a map, each quarter of its channels in its own way, and change the number of channels.

    tokens = norm(map); tokens = concat over chunks of (branch(chunk) + skip_scale * chunk); map = proj(norm(tokens)),
    with one and the same norm.

    Args:
        in_channels: a multiple of 4.
        out_channels: channels of the result.
        branches: what each quarter of the channels passes through. "mamba": one Mamba in both directions, shared by
            all such chunks; "attention": self-attention, shared as well; "conv": a separable convolution of its own;
            "identity": nothing.
        kernel_size: taps of the convolutions along every axis, odd.
        directions: "both", or "forward" for tokens that see only those before them (in an attention, and themselves).
        shared_mamba: one Mamba for both directions, or one for each.
        flip: what the backward direction of a Mamba turns around, see ``BidirectionalMamba``.
        spatial_dims: 2 for images, 3 for volumes.

    Raises:
        ValueError: an argument does not fit; the text says which and what would.

    Source:
        Fan et al. 2025, "UltraLBM-UNet", sections 3.2 and 3.3.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        branches: Sequence[Branch] = GLOBAL_LOCAL,
        kernel_size: int = 3,
        directions: Directions = "both",
        shared_mamba: bool = True,
        flip: Flip = "sequence",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        require_whole("LocalGlobalPerception", in_channels=in_channels, out_channels=out_channels)
        require_flags("LocalGlobalPerception", shared_mamba=shared_mamba)
        require_spatial_dims("LocalGlobalPerception", spatial_dims)
        check_directions("LocalGlobalPerception", directions=directions, flip=flip)
        check_branches("LocalGlobalPerception", branches)
        if in_channels % N_BRANCHES:
            raise ValueError(
                f"LocalGlobalPerception: {in_channels} channels cannot be split into {N_BRANCHES} equal chunks; choose "
                f"a multiple of {N_BRANCHES}"
            )
        self.width = in_channels // N_BRANCHES
        # Neighbouring chunks of one kind are one run.
        self.runs = tuple((branch, len(list(run))) for branch, run in groupby(branches))
        self.norm = nn.LayerNorm(in_channels)
        self.mixers = nn.ModuleDict()
        if "mamba" in branches:
            self.mixers["mamba"] = BidirectionalMamba(self.width, directions=directions, shared=shared_mamba, flip=flip)
        if "attention" in branches:
            self.mixers["attention"] = SelfAttention(self.width, causal=directions == "forward")
        self.convolutions = nn.ModuleList(
            SeparableConvolution(self.width, kernel_size=kernel_size, spatial_dims=spatial_dims)
            for branch in branches
            if branch == "conv"
        )
        self.skip_scale = nn.Parameter(torch.ones(1))
        self.proj = nn.Linear(in_channels, out_channels)

    @property
    def published_names(self) -> Mapping[str, str]:
        """Our module names and the published ones: a single convolution has no number."""
        names = {f"convolutions.{i}": f"sep_conv{i + 1}" for i in range(len(self.convolutions))}
        if len(names) == 1:
            names = {"convolutions.0": "sep_conv"}
        return {"mixers.mamba.mambas.0": "mamba", **names}

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, in_channels, *spatial), into (b, out_channels, *spatial)."""
        tokens = self.norm(x.flatten(2).mT)  # (b, l, c)
        tokens = torch.cat(self._mix(tokens, x.shape[2:]), dim=2) + self.skip_scale * tokens
        mixed: Tensor = self.proj(self.norm(tokens))
        return torch.unflatten(mixed.mT, 2, x.shape[2:])

    def _mix(self, tokens: Tensor, spatial: torch.Size) -> list[Tensor]:
        """Pass each chunk through its branch, neighbours of one mixer together: (b, l, their channels) each."""
        mixed: list[Tensor] = []
        convolutions = iter(self.convolutions)
        runs = tokens.split_with_sizes([n_chunks * self.width for _, n_chunks in self.runs], dim=2)
        for (branch, n_chunks), run in zip(self.runs, runs, strict=True):
            if branch == "identity":
                mixed.append(run)
            elif branch == "conv":
                maps = torch.unflatten(run.mT, 2, spatial).chunk(n_chunks, dim=1)
                mixed += [next(convolutions)(one).flatten(2).mT for one in maps]
            else:
                mixed.append(self.mixers[branch](run, n_parallel=n_chunks))
        return mixed


def check_branches(owner: str, branches: Sequence[str], *, argument: str = "branches") -> None:
    """Raise a ValueError that names what is wrong with ``owner``'s branches."""
    require_sequence(owner, argument, branches, of="branches")
    if len(branches) != N_BRANCHES:
        raise ValueError(
            f"{owner}: {argument}={tuple(branches)} has {len(branches)} branches, expected {N_BRANCHES}, one for each "
            f"quarter of the channels; repeat a branch or add 'identity'"
        )
    for i, branch in enumerate(branches):
        if branch not in get_args(Branch):
            raise ValueError(
                f"{owner}: {argument}[{i}]={branch!r}, expected one of {', '.join(map(repr, get_args(Branch)))}; pass "
                f"one of them"
            )
