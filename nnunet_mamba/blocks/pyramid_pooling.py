"""Pyramid pooling: coarse views of a map, from one to six cells a side, take its place."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnunet_mamba.blocks.arguments import require_spatial_dims, require_whole
from nnunet_mamba.ops.transforms import is_exporting

BINS = (1, 2, 3, 6)
# Of the channels, what each of the bins makes; they sum to one.
CHANNEL_SHARES = (1 / 8, 1 / 4, 1 / 2, 1 / 8)


class PyramidPooling(nn.Module):
    """Average the map over a grid of n cells a side, project, ReLU, interpolate back; concatenate over n = 1, 2, 3, 6.

    The map itself is not part of the result, and there is no norm.

    Args:
        channels: of the map and of the result, a multiple of 8.
        spatial_dims: 2 or 3.

    Raises:
        ValueError: an argument is outside its range.

    Source:
        Crews and Whalen 2024, "Mamba-Based Tumor Segmentation"; bins of Zhao et al. 2017, "Pyramid Scene Parsing
        Network", arXiv:1612.01105.
    """

    def __init__(self, channels: int, *, spatial_dims: int = 2) -> None:
        super().__init__()
        require_whole("PyramidPooling", channels=channels)
        if channels % 8:
            raise ValueError(
                f"PyramidPooling: {channels} channels, expected a multiple of 8, of which the smallest bin makes one "
                f"eighth; choose {max(1, round(channels / 8)) * 8}"
            )
        require_spatial_dims("PyramidPooling", spatial_dims)
        self.channels = channels
        self.spatial_dims = spatial_dims
        convolution = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
        self.conv_layers = nn.ModuleList(convolution(channels, int(channels * share), 1) for share in CHANNEL_SHARES)

    def forward(self, x: Tensor) -> Tensor:
        """Turn ``x``, (b, channels, *spatial), into the same shape."""
        if x.ndim != self.spatial_dims + 2 or x.shape[1] != self.channels:
            raise ValueError(
                f"PyramidPooling: map of shape {tuple(x.shape)}, expected (b, {self.channels}, *spatial) with "
                f"{self.spatial_dims} axes; pass such a map, or create the module with other sizes"
            )
        views = [functional.relu(conv(self._pool(x, n))) for conv, n in zip(self.conv_layers, BINS, strict=True)]
        mode = "bilinear" if self.spatial_dims == 2 else "trilinear"
        return torch.cat(
            [functional.interpolate(view, x.shape[2:], mode=mode, align_corners=True) for view in views], dim=1
        )

    def _pool(self, x: Tensor, n_cells: int) -> Tensor:
        """Return the averages (b, channels, *(n_cells, …)) of a grid over ``x``."""
        if is_exporting():
            return grid_means(x, n_cells)
        pool = functional.adaptive_avg_pool2d if self.spatial_dims == 2 else functional.adaptive_avg_pool3d
        return pool(x, n_cells)


def grid_means(x: Tensor, n_cells: int) -> Tensor:
    """Return ``functional.adaptive_avg_pool2d(x, n_cells)``, or ``3d``, as products with matrices.

    An exported graph would take the borders of the cells from the size of the image that was traced, and average over
    wrong ones in every other size.

    Args:
        x: (b, c, h, w) or (b, c, d, h, w).
        n_cells: along each axis.
    """
    *slices, rows, columns = (_averaging(size, n_cells, x) for size in x.shape[2:])
    means = torch.matmul(rows, torch.matmul(x, columns.mT))
    for weights in slices:
        means = torch.matmul(weights, means.flatten(3)).reshape(*means.shape[:2], n_cells, n_cells, n_cells)
    return means


def _averaging(size: int, n_cells: int, x: Tensor) -> Tensor:
    """Return the matrix, (n_cells, size), that averages each cell's positions; neighbours may share one."""
    cells = torch.arange(n_cells, device=x.device)[:, None]
    positions = torch.arange(size, device=x.device)
    first, end = cells * size // n_cells, ((cells + 1) * size + n_cells - 1) // n_cells
    inside = (positions >= first) & (positions < end)
    return inside.to(x.dtype) / (end - first)
