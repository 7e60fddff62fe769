"""The definition of a Mamba block's work on its tokens, in torch's operators around the selective scan.

With x, z = in_proj(tokens) and x = SiLU(causal depthwise convolution of x):
tokens' = out_proj(scan(x, dt, A, B, C, D) · SiLU(z)), where dt, B and C are linear functions of x.
"""

import torch
from torch import Tensor
from torch.nn import functional

from nnunet_mamba.ops.mixer.operands import MambaOperands
from nnunet_mamba.ops.scan.op import selective_scan


def forward(x: MambaOperands, in_bias: Tensor | None = None, out_bias: Tensor | None = None) -> Tensor:
    """Run the block on each chunk of the tokens' channels: (b, l, n_parallel * d_model) to the same shape.

    Args:
        x: operands, all of one dtype and device.
        in_bias: of in_proj, (2 * d_inner,).
        out_bias: of out_proj, (d_model,).
    """
    # The block does not know chunks from cases, so it takes them as one batch.
    tokens = x.tokens if x.n_parallel == 1 else torch.cat(x.tokens.chunk(x.n_parallel, dim=2))
    tokens = tokens.flip(1) if x.reverse else tokens
    d_inner, n = x.A_log.shape
    u, z = project_channels(tokens.mT, x.in_proj, in_bias).chunk(2, dim=1)  # (b, d_inner, l)
    padding = x.conv.shape[2] - 1
    u = functional.conv1d(u, x.conv, x.conv_bias, padding=padding, groups=d_inner)[..., : tokens.shape[1]]
    u = functional.silu(u)
    dt, B, C = project_channels(u, x.x_proj).split_with_sizes([x.dt_proj.shape[1], n, n], dim=1)
    y = selective_scan(
        u,
        project_channels(dt, x.dt_proj),
        -torch.exp(x.A_log),
        B,
        C,
        x.D,
        z=z,
        delta_bias=x.dt_bias,
        delta_softplus=True,
    )
    mixed = functional.linear(y.mT, x.out_proj, out_bias)
    mixed = mixed.flip(1) if x.reverse else mixed
    if x.n_parallel == 1:
        return mixed
    # Not ``chunk``, which binds an exported graph to the number of cases that it was traced with.
    return torch.cat(mixed.split_with_sizes([x.tokens.shape[0]] * x.n_parallel), dim=2)


def project_channels(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply a linear layer to the channels of ``x``, (b, d, l): (b, d', l), contiguous."""
    # A batched product writes the scan's layout at once; a linear layer on tokens would need two transposed copies.
    weights = weight.expand(x.shape[0], -1, -1)
    return torch.bmm(weights, x) if bias is None else torch.baddbmm(bias[:, None], weights, x)
