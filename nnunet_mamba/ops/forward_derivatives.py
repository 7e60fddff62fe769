"""Forward-mode derivatives: the fused operators have none and say so, and what is composed of torch's has them.

torch hands an operator that knows nothing of forward mode the plain numbers, and the derivative is silently zero.
"""

from typing import Any

from torch import Tensor
from torch.autograd import forward_ad


def has_tangent(*operands: Any) -> bool:
    """Return whether forward-mode differentiation follows one of the operands; what is no tensor is passed over."""
    # Private, but asking for the tangent of every operand would cost each call a few microseconds.
    if forward_ad._current_level < 0:
        return False
    return any(isinstance(x, Tensor) and forward_ad.unpack_dual(x).tangent is not None for x in operands)


def refuse_tangents(operator: str, *operands: Any) -> None:
    """Refuse operands that forward-mode differentiation follows.

    Raises:
        NotImplementedError: there is one.
    """
    if has_tangent(*operands):
        raise NotImplementedError(
            f"{operator} has no forward-mode derivatives; nnunet_mamba.ops.{operator.split('_saving')[0]} has, "
            f"composed of torch's operators"
        )
