"""Run every kernel of a training and of a prediction once: what compiles at first use then lies in its cache."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from nnunet_mamba.ops.cpu_kernels.sizes import LANES
from nnunet_mamba.ops.directions.op import cross_scan
from nnunet_mamba.ops.few_maps.op import few_map_convolution
from nnunet_mamba.ops.mixer.op import mamba_mixer
from nnunet_mamba.ops.pooled_norm.op import pooled_group_norm
from nnunet_mamba.ops.scan.op import selective_scan

# A map of several chunks of tokens, with more than one vector of channels; small enough for every fused kernel.
_SPATIAL = (10, 13)
_LENGTH = 130
_D = 32


def warm(device: str = "cpu", dtype: torch.dtype = torch.float32, *, d_state: int = 16) -> None:
    """Call every operator that compiles at first use, with and without gradients.

    Args:
        device: where; kernels for GPUs are compiled for one device's architecture.
        dtype: of the tokens; Mamba blocks compute in float32 under autocast as well.
        d_state: size n of the state; kernels for GPUs are compiled for one size.
    """

    def waves(*shape: int) -> Tensor:
        size = torch.Size(shape).numel()
        return torch.sin(torch.arange(1, size + 1, dtype=torch.float64)).reshape(shape).to(device, dtype)

    _warm_scan(waves, d_state)
    _warm_mixer(waves, d_state)
    _warm_cross_scan(waves, d_state)
    _warm_few_maps(waves)
    _warm_pooled_norm(waves)


def _warm_scan(waves: Callable[..., Tensor], n: int) -> None:
    """Scan bare operands, and everything that a Mamba block adds."""
    u, matrix, vector = waves(1, _D, _LENGTH), waves(1, n, _LENGTH), waves(_D)
    bare = {"u": u, "delta": u.abs(), "A": -waves(_D, n).abs(), "B": matrix, "C": matrix}
    _run_both_ways(selective_scan, bare)
    everything = {**bare, "D": vector, "z": u, "delta_bias": vector}
    _run_both_ways(partial(selective_scan, delta_softplus=True), everything)


def _warm_mixer(waves: Callable[..., Tensor], n: int) -> None:
    d_model, rank = _D // 2, 1
    operands = {
        "tokens": waves(1, _LENGTH, d_model),
        "in_proj": waves(2 * _D, d_model),
        "conv": waves(_D, 1, 4),
        "conv_bias": waves(_D),
        "x_proj": waves(rank + 2 * n, _D),
        "dt_proj": waves(_D, rank),
        "dt_bias": waves(_D),
        "A_log": waves(_D, n),
        "D": waves(_D),
        "out_proj": waves(d_model, _D),
    }
    _run_both_ways(mamba_mixer, operands)


def _warm_cross_scan(waves: Callable[..., Tensor], n: int) -> None:
    directions, rank = 2 * len(_SPATIAL), 1
    operands = {
        "u": waves(1, _LENGTH, _D),
        "projected": waves(1, _LENGTH, directions, rank + 2 * n),
        "dt_proj": waves(directions, _D, rank),
        "dt_bias": waves(directions, _D),
        "A_logs": waves(directions * _D, n),
        "Ds": waves(directions * _D),
    }
    _run_both_ways(partial(cross_scan, spatial=_SPATIAL), operands)


def _warm_few_maps(waves: Callable[..., Tensor]) -> None:
    operands = {"x": waves(1, 2, 10, LANES + 3), "weight": waves(1, 2, 3, 3), "bias": waves(1)}
    _run_both_ways(partial(few_map_convolution, dilation=2), operands)


def _warm_pooled_norm(waves: Callable[..., Tensor]) -> None:
    operands = {"x": waves(1, _D, *_SPATIAL), "weight": waves(_D), "bias": waves(_D)}
    _run_both_ways(partial(pooled_group_norm, groups=4, window=(2, 1)), operands)


def _run_both_ways(function: Callable[..., Tensor], operands: dict[str, Tensor]) -> None:
    with torch.no_grad():
        function(**operands)
    with torch.enable_grad():
        leaves = {name: operand.clone().requires_grad_() for name, operand in operands.items()}
        torch.autograd.grad(function(**leaves).sum(), list(leaves.values()))
