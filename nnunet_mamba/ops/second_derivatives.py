"""Refuse a second derivative where an operator has none; torch would give zeros."""

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor


def refuse_second_derivatives(operator: str, *, way_out: str) -> Callable[..., tuple[Tensor, ...]]:
    """Have the backward pass through ``operator``, itself a backward pass, raise NotImplementedError.

    Args:
        operator: name with its namespace, such as "nnunet_mamba::selective_scan_backward".
        way_out: what has second derivatives, for the error.

    Returns:
        The operator as a formula of gradients calls it: ``torch.func`` needs another form of the refusal.
    """

    def refuse(ctx: Any, *gradients: Any) -> NoReturn:
        raise NotImplementedError(
            f"{operator} has no derivatives: second derivatives, as of gradient penalties, need {way_out}"
        )

    torch.library.register_autograd(operator, refuse)
    call = getattr(torch.ops.nnunet_mamba, operator.partition("::")[2])

    def forward(*given: Any) -> tuple[Tensor, ...]:
        gradients: tuple[Tensor, ...] = call(*given)
        return gradients

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Save nothing for what is refused."""

    parts: dict[str, Callable[..., Any]] = {"forward": forward, "setup_context": setup_context, "backward": refuse}
    members = {name: staticmethod(function) for name, function in parts.items()}
    function: Any = type("Refusing", (torch.autograd.Function,), {**members, "generate_vmap_rule": True})

    def gradients(*given: Any) -> tuple[Tensor, ...]:
        if torch.compiler.is_compiling() or not torch._C._are_functorch_transforms_active():
            return forward(*given)
        results: tuple[Tensor, ...] = function.apply(*given)
        return results

    return gradients
