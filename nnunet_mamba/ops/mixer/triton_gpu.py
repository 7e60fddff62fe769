"""The small Mamba block on an NVIDIA GPU, compiled by Triton: one launch before the scan's and one after them.

The gradients of the projections and of the convolution are torch's own operators on what the first launch computes
again.
"""

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from nnunet_mamba.ops.mixer.composed import project_channels
from nnunet_mamba.ops.mixer.operands import MambaOperands, scan_states_shape
from nnunet_mamba.ops.mixer.triton_projections import mix_kernel, project_kernel
from nnunet_mamba.ops.scan.operands import ScanOperands
from nnunet_mamba.ops.scan.triton_gpu import backward as scan_backward
from nnunet_mamba.ops.scan.triton_gpu import forward as scan
from nnunet_mamba.ops.scan.triton_gpu import forward_again as scan_again
from nnunet_mamba.ops.scan.triton_gpu import forward_saving as scan_saving
from nnunet_mamba.ops.scan.triton_gpu import launching

_TITLE = "fused Mamba block"
_WARPS = 4
_TOKENS = 32  # of a program


def _power_of_two(size: int) -> int:
    """Return the smallest power of two that holds a size."""
    return 1 << (size - 1).bit_length()


def _grid(x: MambaOperands) -> tuple[int]:
    cases, length, _ = x.tokens.shape
    return (cases * x.n_parallel * -(-length // _TOKENS),)


def _project(x: MambaOperands, kept: Tensor | None = None) -> ScanOperands:
    """Return the operands of the scan, and fill ``kept`` with what else the backward pass reads unless it is None."""
    (cases, length, _), (d_inner, n), rank = x.tokens.shape, x.A_log.shape, x.dt_proj.shape[1]
    d_model = x.in_proj.shape[1]
    read = x.tokens.new_empty(cases * x.n_parallel, 3 * d_inner + 2 * n, length)
    A = x.tokens.new_empty(d_inner, n)
    weights = (x.tokens, x.in_proj, x.conv, x.conv_bias, x.x_proj, x.dt_proj, x.A_log)
    with launching(x.tokens, _TITLE):
        project_kernel[_grid(x)](
            *(None if weight is None else weight.contiguous() for weight in weights),
            *(A, read, kept, length, x.n_parallel, d_model, d_inner, rank, n),
            *(x.conv.shape[2], x.reverse),
            T=_TOKENS,
            D=_power_of_two(d_inner),
            N=_power_of_two(n),
            num_warps=_WARPS,
        )
    u, delta, z, B, C = read.split_with_sizes([d_inner, d_inner, d_inner, n, n], dim=1)
    D, bias = x.D.contiguous(), x.dt_bias.contiguous()
    return ScanOperands(u, delta, A, B[:, None], C[:, None], D, z, bias, True)


def _mix(y: Tensor, x: MambaOperands) -> Tensor:
    """Return the mixed tokens, (b, l, n_parallel * d_model), of what the scan returns."""
    mixed = torch.empty_like(x.tokens, memory_format=torch.contiguous_format)
    (d_model, d_inner), length = x.out_proj.shape, x.tokens.shape[1]
    with launching(y, _TITLE):
        mix_kernel[_grid(x)](
            *(y, x.out_proj.contiguous(), mixed, length, x.n_parallel, d_model, d_inner, x.reverse),
            T=_TOKENS,
            M=_power_of_two(d_model),
            num_warps=_WARPS,
        )
    return mixed


def forward(x: MambaOperands) -> Tensor:
    """Run the block: the mixed tokens, (b, l, n_parallel * d_model)."""
    if not x.tokens.numel():
        return torch.empty_like(x.tokens, memory_format=torch.contiguous_format)
    return _mix(scan(_project(x)), x)


def forward_saving(x: MambaOperands) -> tuple[Tensor, Tensor]:
    """Run the block and keep the states of its scan, see ``operands.scan_states_shape``."""
    if not x.tokens.numel():
        return forward(x), x.tokens.new_empty(scan_states_shape(x))
    y, states = scan_saving(_project(x))
    return _mix(y, x), states


def backward(dmixed: Tensor, x: MambaOperands, states: Tensor) -> tuple[Tensor | None, ...]:
    """Compute the block again, the scan from its saved states, and the gradients of the tensor operands.

    Args:
        dmixed: gradient of the mixed tokens, (b, l, n_parallel * d_model).
        x: operands of the forward pass.
        states: those that it saved.

    Returns:
        One gradient per tensor operand, None for an absent one.
    """
    if not dmixed.numel():
        return tuple(None if operand is None else torch.zeros_like(operand) for operand in x.tensors)
    (cases, length, _), (d_inner, rank) = x.tokens.shape, x.dt_proj.shape
    kept = x.tokens.new_empty(cases * x.n_parallel, 2 * d_inner + rank, length)
    operands = _project(x, kept)
    before, convolved, dt = kept.split_with_sizes([d_inner, d_inner, rank], dim=1)
    tokens, dmixed = _in_scan_order(x.tokens, x), _in_scan_order(dmixed, x)
    y = scan_again(operands, states)
    dy = project_channels(dmixed, x.out_proj.mT)
    gradients = scan_backward(dy, operands, states)
    du, ddelta, dA, dB, dC, dD, dz, dbias = cast("tuple[Tensor, ...]", gradients)
    dprojected = torch.cat([project_channels(ddelta, x.dt_proj.mT), dB[:, 0], dC[:, 0]], dim=1)
    du = torch.baddbmm(du, x.x_proj.mT.expand(len(du), -1, -1), dprojected)
    dx, dconv, dconv_bias = _through_convolution(du, before, convolved, x)
    dxz = torch.cat([dx, dz], dim=1)
    return (
        _in_token_order(project_channels(dxz, x.in_proj.mT), x),
        _sum_of_products(dxz, tokens),
        dconv,
        dconv_bias,
        _sum_of_products(dprojected, operands.u),
        _sum_of_products(ddelta, dt),
        dbias,
        dA * operands.A,
        dD,
        _sum_of_products(dmixed, y),
    )


def _through_convolution(
    du: Tensor, before: Tensor, convolved: Tensor, x: MambaOperands
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the gradients of what the convolution reads, (b * n_parallel, d_inner, l), of its weight and its bias."""
    d_inner, _, d_conv = x.conv.shape
    dconvolved = torch.ops.aten.silu_backward(du, convolved)
    padding, has_bias = d_conv - 1, x.conv_bias is not None
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        functional.pad(dconvolved, (0, padding)),
        *(before, x.conv, [d_inner], [1], [padding], [1], False, [0], d_inner, [True, True, has_bias]),
    )
    dbefore, dconv, dbias = gradients
    return dbefore, dconv, dbias if has_bias else None


def _in_scan_order(tokens: Tensor, x: MambaOperands) -> Tensor:
    """Return tokens, (b, l, n_parallel * d_model), as the scan reads them, (b * n_parallel, d_model, l)."""
    chunks = torch.unflatten(tokens, 2, (x.n_parallel, -1)).permute(0, 2, 3, 1).flatten(0, 1)
    return chunks.flip(2) if x.reverse else chunks


def _in_token_order(chunks: Tensor, x: MambaOperands) -> Tensor:
    """Return what ``_in_scan_order`` was given."""
    chunks = chunks.flip(2) if x.reverse else chunks
    return torch.unflatten(chunks, 0, (-1, x.n_parallel)).permute(0, 3, 1, 2).flatten(2)


def _sum_of_products(a: Tensor, b: Tensor) -> Tensor:
    """Return the sum over batch and tokens of the products of (b, p, l) and (b, q, l), (p, q)."""
    return torch.bmm(a, b.mT).sum(0)
