"""Operators whose backward pass cannot be derived once more say so; torch would give zeros."""

from typing import Any, NoReturn

import torch


def refuse_second_derivatives(operator: str) -> None:
    """Have the backward pass through ``operator``, itself a backward pass, raise NotImplementedError.

    Args:
        operator: name with its namespace, such as "nnunet_mamba::selective_scan_backward".
    """

    def refuse(ctx: Any, *gradients: Any) -> NoReturn:
        raise NotImplementedError(
            f"{operator} has no derivatives: second derivatives, as of gradient penalties, need the plain torch scan, "
            "nnunet_mamba.ops.scan.reference.forward"
        )

    torch.library.register_autograd(operator, refuse)
