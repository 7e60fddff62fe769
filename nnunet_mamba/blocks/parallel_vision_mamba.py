"""The parallel vision Mamba (PVM) layer: chunks of the channels pass through small Mamba blocks side by side.

A Mamba block's parameters grow with the square of its width, so n blocks on c / n channels have about 1 / n of one
block's, and one block shared by all chunks 1 / n² of it.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from nnunet_mamba.blocks.arguments import require_flags, require_whole
from nnunet_mamba.blocks.mamba import Mamba
from nnunet_mamba.blocks.pyramid_pooling import PyramidPooling


class ParallelVisionMamba(nn.Module):
    """Mix all positions of a map in row-major order and change its number of channels.

    tokens = norm(map); tokens = concat over chunks of (Mamba(chunk) + skip_scale * chunk); map = proj(norm(tokens)),
    with one and the same norm.

    Args:
        in_channels: a multiple of ``n_parallel``.
        out_channels: channels of the result.
        n_parallel: number of chunks.
        shared_mamba: one block for all chunks, as in the published code and its parameter counts; False gives each
            chunk its own, as in the paper's text and figure.
        pyramid_pooling: whether the map passes pyramid pooling first, as in the tumour paper's variants.
        spatial_dims: of the map, which pyramid pooling has to know.

    Raises:
        ValueError: a number is no positive integer, or the channels cannot be split into ``n_parallel`` equal chunks.

    Source:
        Wu et al. 2024, arXiv:2403.20035, equations 3.5 to 3.8.
    """

    published_names: ClassVar[Mapping[str, str]] = {"mambas.0": "mamba", "pyramid_pooling": "ppm"}

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        n_parallel: int = 4,
        shared_mamba: bool = True,
        pyramid_pooling: bool = False,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        require_whole("ParallelVisionMamba", in_channels=in_channels, out_channels=out_channels, n_parallel=n_parallel)
        require_flags("ParallelVisionMamba", shared_mamba=shared_mamba, pyramid_pooling=pyramid_pooling)
        if in_channels % n_parallel:
            raise ValueError(
                f"ParallelVisionMamba: {in_channels} channels cannot be split into n_parallel={n_parallel} equal "
                f"chunks; choose an n_parallel that divides the channels, or a multiple of it as channels"
            )
        self.n_parallel = n_parallel
        self.pyramid_pooling = PyramidPooling(in_channels, spatial_dims=spatial_dims) if pyramid_pooling else None
        self.norm = nn.LayerNorm(in_channels)
        n_blocks = 1 if shared_mamba else n_parallel
        self.mambas = nn.ModuleList(Mamba(in_channels // n_parallel) for _ in range(n_blocks))
        self.skip_scale = nn.Parameter(torch.ones(1))
        self.proj = nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``x``, (b, in_channels, *spatial), into (b, out_channels, *spatial)."""
        if self.pyramid_pooling is not None:
            x = self.pyramid_pooling(x)
        tokens = self.norm(x.flatten(2).mT)  # (b, l, c)
        tokens = self._mix(tokens) + self.skip_scale * tokens
        mixed: Tensor = self.proj(self.norm(tokens))
        return torch.unflatten(mixed.mT, 2, x.shape[2:])

    def _mix(self, tokens: Tensor) -> Tensor:
        if len(self.mambas) == 1:
            shared: Tensor = self.mambas[0](tokens, n_parallel=self.n_parallel)
            return shared
        chunks = tokens.chunk(self.n_parallel, dim=2)
        return torch.cat([mamba(chunk) for mamba, chunk in zip(self.mambas, chunks, strict=True)], dim=2)
