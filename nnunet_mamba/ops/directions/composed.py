"""The definition of a scan of a map in several directions, in torch's operators around the selective scan.

y at a position = sum over directions k of scan_k(u, dt_k, A_k, B_k, C_k, D_k) there, each direction over the positions
in its own order.
"""

import torch
from torch import Tensor

from nnunet_mamba.ops.directions.operands import CrossScanOperands
from nnunet_mamba.ops.directions.scan_order import merge_scans, swap_channels_and_tokens, unroll_map, unroll_maps
from nnunet_mamba.ops.scan.op import selective_scan
from nnunet_mamba.ops.transforms import is_recorded


def forward(x: CrossScanOperands) -> Tensor:
    """Scan in all directions and sum: (b, l, d)."""
    directions, d, rank = x.dt_proj.shape
    n = x.A_logs.shape[1]
    maps = torch.unflatten(x.projected.permute(0, 2, 3, 1), 3, tuple(x.spatial))  # (b, K, dt_rank + 2 n, *spatial)
    if is_recorded():
        # A third of the operators; tracing them is what an export spends its time with.
        dt, B, C = unroll_maps(maps).split_with_sizes([rank, n, n], dim=2)
    else:
        # Three copies instead of one, because the scan wants B and C contiguous.
        dt, B, C = (unroll_maps(m) for m in maps.split_with_sizes([rank, n, n], dim=2))
    scans = selective_scan(
        unroll_map(torch.unflatten(swap_channels_and_tokens(x.u), 2, tuple(x.spatial))).flatten(1, 2),
        torch.matmul(x.dt_proj, dt).flatten(1, 2),
        -torch.exp(x.A_logs),
        B,
        C,
        x.Ds,
        delta_bias=x.dt_bias.flatten(),
        delta_softplus=True,
    )
    merged = merge_scans(torch.unflatten(scans, 1, (directions, d)), tuple(x.spatial))
    return swap_channels_and_tokens(merged.flatten(2))
