"""A convolution from few channels to few, such as that of the attention bridge: two channels to one.

torch's fast convolutions compute sixteen channels at once, most of which are not there. The direct loops compute
sixteen positions of one channel at once.
"""

from torch import Tensor

from nnunet_mamba.ops.few_maps import composed
from nnunet_mamba.ops.few_maps.operands import (
    FewMapOperands,
    check_operands,
    check_saved,
    new_result,
    new_states,
    refusal,
)
from nnunet_mamba.ops.fused_operator import register_fused
from nnunet_mamba.ops.operator_registration import Implementation, Operator
from nnunet_mamba.ops.probe import waves


def few_map_convolution(x: Tensor, weight: Tensor, bias: Tensor, *, dilation: int = 1) -> Tensor:
    """Convolve maps, surrounded by as many zeros as keep their size.

    Args:
        x: (b, c_in, h, w), float32 or float64.
        weight: (c_out, c_in, kh, kw), in the dtype of ``x``, with odd numbers of taps; so is ``bias``.
        bias: (c_out,).
        dilation: distance of the taps, along both axes.

    Returns:
        (b, c_out, h, w).

    Raises:
        TypeError: an operand is not a dense floating-point tensor, has another dtype than ``x``, or is no whole number.
        ValueError: shapes do not fit together, devices differ, or a filter has no centre.
    """
    operands = FewMapOperands(x, weight, bias, dilation)
    check_operands(operands)
    return _convolve(operands)


def _load(_: FewMapOperands) -> Implementation[FewMapOperands]:
    from nnunet_mamba.ops.few_maps import numba_cpu

    return numba_cpu


def _probes() -> tuple[FewMapOperands, ...]:
    """Return maps that are wider than what the loops compute at once, with filters as long as no other size."""

    def numbers(*shape: int) -> Tensor:
        return waves(*shape, low=-1, high=1).float()

    return (FewMapOperands(numbers(2, 3, 9, 91), numbers(2, 3, 3, 7), numbers(2), 2),)


_convolve, _probe_failure = register_fused(
    Operator(
        name="few_map_convolution",
        schema="Tensor x, Tensor weight, Tensor bias, SymInt dilation",
        result="y",
        make=FewMapOperands._make,
        check=check_operands,
        check_saved=check_saved,
        new_saved=lambda operands: (new_states(operands),),
        new_result=new_result,
        load=_load,
        device="CPU",
        twice_differentiable="float64 operands, for which torch's operators compute it: .double()",
        with_batch=(0,),  # x
    ),
    title="direct convolution of few maps",
    definition=composed.forward,
    refusal=refusal,
    probes=_probes,
    contains_scan=False,
)
