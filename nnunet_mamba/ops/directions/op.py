"""A map scanned in several directions, as one function that reads them by index on a CPU and on an NVIDIA GPU.

In torch's operators each direction is a copy of the map in another order, and its step sizes are as large again; the
fused kernels read the map where it lies, and compute the step sizes in the cache or in registers.
"""

from collections.abc import Sequence

from torch import Tensor

from nnunet_mamba.ops.directions import composed
from nnunet_mamba.ops.directions.operands import (
    CrossScanOperands,
    check_operands,
    check_saved,
    new_states,
    refusal,
)
from nnunet_mamba.ops.fused_operator import register_fused
from nnunet_mamba.ops.operand_checks import whole_sizes
from nnunet_mamba.ops.operator_registration import Implementation, Operator
from nnunet_mamba.ops.probe import waves


def cross_scan(
    u: Tensor,
    *,
    projected: Tensor,
    dt_proj: Tensor,
    dt_bias: Tensor,
    A_logs: Tensor,
    Ds: Tensor,
    spatial: Sequence[int],
) -> Tensor:
    """Scan a map in several directions and sum; see ``CrossScanOperands`` for the shapes.

    Args:
        u: the map's positions, row-major, (b, l, d), float32 or float64 like all weights.
        projected: dt, B and C of every position and direction.
        dt_proj: weight of the layer that gives each direction's step sizes.
        dt_bias: its bias.
        A_logs: logarithm of the states' decay.
        Ds: skip weights.
        spatial: sizes of the map's axes, whose product is l.

    Returns:
        (b, l, d), contiguous.

    Raises:
        TypeError: an operand is not a dense floating-point tensor, or has another dtype than ``u``.
        ValueError: shapes do not fit together, or devices differ.

    Source:
        Liu et al. 2024, "VMamba", arXiv:2401.10166.
    """
    x = CrossScanOperands(u, projected, dt_proj, dt_bias, A_logs, Ds, whole_sizes("cross_scan", "spatial", spatial))
    check_operands(x)
    return _scan(x)


def _load(x: CrossScanOperands) -> Implementation[CrossScanOperands]:
    if x.u.is_cuda:
        from nnunet_mamba.ops.directions import triton_gpu

        return triton_gpu
    from nnunet_mamba.ops.directions import numba_cpu

    return numba_cpu


def _probes() -> tuple[CrossScanOperands, ...]:
    """Return a scan of more than one vector of channels and more than one chunk of tokens."""

    def numbers(*shape: int, size: float) -> Tensor:
        return waves(*shape, low=-size, high=size).float()

    directions, length, d, n, rank = 4, 70, 18, 3, 2
    x = CrossScanOperands(
        u=numbers(1, length, d, size=1),
        projected=numbers(1, length, directions, rank + 2 * n, size=1),
        dt_proj=numbers(directions, d, rank, size=1),
        dt_bias=numbers(directions, d, size=1),
        A_logs=numbers(directions * d, n, size=1),
        Ds=numbers(directions * d, size=1),
        spatial=(7, 10),
    )
    return (x,)


_scan, _probe_failure = register_fused(
    Operator(
        name="cross_scan",
        schema="Tensor u, Tensor projected, Tensor dt_proj, Tensor dt_bias, Tensor A_logs, Tensor Ds, SymInt[] spatial",
        result="y",
        make=CrossScanOperands._make,
        check=check_operands,
        check_saved=check_saved,
        new_saved=lambda operands: (new_states(operands),),
        load=_load,
        device=("CPU", "CUDA"),
        with_batch=(0, 1),  # u and projected
    ),
    title="fused cross scan",
    definition=composed.forward,
    refusal=refusal,
    probes=_probes,
)
