"""Group norm and max-pooling of a map, as one function that reads and writes channels that lie last on a CPU.

torch normalises such a map with one pass for the statistics, one for the numbers and one for the maxima, and its
backward pass has as many; the fused kernels neither write nor keep the normalised map.
"""

from collections.abc import Sequence

from torch import Tensor

from nnunet_mamba.ops.fused_operator import register_fused
from nnunet_mamba.ops.operand_checks import require_floats, whole_sizes
from nnunet_mamba.ops.operator_registration import Implementation, Operator
from nnunet_mamba.ops.pooled_norm import composed
from nnunet_mamba.ops.pooled_norm.operands import (
    MOST_AXES,
    OWNER,
    PooledNormOperands,
    check_operands,
    check_saved,
    new_result,
    new_states,
    refusal,
)
from nnunet_mamba.ops.probe import waves


def pooled_group_norm(
    x: Tensor, weight: Tensor, bias: Tensor, *, groups: int, window: Sequence[int], eps: float = 1e-5
) -> Tensor:
    """Normalise groups of channels, and take the maximum of every window of the result.

    Args:
        x: (b, c, *spatial) with one to three axes, float32 or float64; best with its channels last in memory
            (``torch.channels_last``), other memory is copied.
        weight: (c,), in the dtype of ``x``; so is ``bias``.
        bias: (c,).
        groups: into which the channels are divided, as in ``torch.nn.GroupNorm``.
        window: one number per axis, also the stride, whose multiple the axis is.
        eps: what the variance is increased by.

    Returns:
        (b, c, *spatial / window), its channels last in memory.

    Raises:
        TypeError: an operand is not a dense floating-point tensor, has another dtype than ``x``, or is not a number.
        ValueError: shapes do not fit together, devices differ, or the windows do not tile the map.

    Source:
        Wu and He 2018, "Group Normalization", arXiv:1803.08494.
    """
    require_floats(OWNER, "x", x)
    if not 3 <= x.ndim <= 2 + MOST_AXES:
        raise ValueError(
            f"{OWNER}: x has shape {tuple(x.shape)}, expected (b, c, *spatial) with one to {MOST_AXES} axes"
        )
    operands = PooledNormOperands(x.movedim(1, -1), weight, bias, groups, whole_sizes(OWNER, "window", window), eps)
    check_operands(operands)
    return _normalise_and_pool(operands).movedim(-1, 1)


def _load(_: PooledNormOperands) -> Implementation[PooledNormOperands]:
    from nnunet_mamba.ops.pooled_norm import numba_cpu

    return numba_cpu


def _probes() -> tuple[PooledNormOperands, ...]:
    """Return maps with and without pooling: of more than one block of channels, and of few that are read together."""

    def numbers(*shape: int) -> Tensor:
        return waves(*shape, low=-1, high=1).float()

    def norm(*sizes: int, groups: int, window: tuple[int, ...]) -> PooledNormOperands:
        c = sizes[-1]
        return PooledNormOperands(numbers(*sizes), numbers(c), numbers(c) + 0.5, groups, window, 1e-5)

    return (
        norm(1, 6, 8, 20, groups=4, window=(2, 2)),
        norm(2, 5, 9, 8, groups=2, window=(1, 1)),
        norm(1, 6, 8, 8, groups=4, window=(2, 2)),
        norm(1, 6, 8, 8, groups=4, window=(3, 2)),
        norm(1, 5, 8, 8, groups=4, window=(1, 1)),
    )


_normalise_and_pool, _probe_failure = register_fused(
    Operator(
        name="pooled_group_norm",
        schema="Tensor x, Tensor weight, Tensor bias, int groups, SymInt[] window, float eps",
        result="y",
        make=PooledNormOperands._make,
        check=check_operands,
        check_saved=check_saved,
        new_saved=lambda operands: (new_states(operands),),
        new_result=new_result,
        load=_load,
        device="CPU",
        twice_differentiable="float64 operands, for which torch's operators compute it: .double()",
        with_batch=(0,),  # x
    ),
    title="fused group norm",
    definition=composed.forward,
    refusal=refusal,
    probes=_probes,
    contains_scan=False,
)
