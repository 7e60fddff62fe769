"""Which of torch's transforms a call takes part in, and whether a fused operator can follow.

The fused operators can be differentiated backwards, once. torch hands them plain numbers in forward mode, so that the
derivative would silently be zero; calls that are differentiated so, or twice, are composed of torch's own operators.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad


def is_traced() -> bool:
    """Return whether ``torch.jit.trace`` looks on, which calls once with gradients and once without."""
    return torch._C._get_tracing_state() is not None


def needs_definition(*operands: Any) -> bool:
    """Return whether a call must be composed of torch's own operators, which know every kind of derivative.

    Args:
        operands: of the call; only tensors count.
    """
    # Both are private, but asking torch about every operand would cost each call a few microseconds.
    in_forward_mode = forward_ad._current_level >= 0
    if are_transforms_active():
        # Where transforms are nested, the outermost operands do not show what the inner ones follow.
        return in_forward_mode or _n_gradients() > 1
    return in_forward_mode and _has_tangent(operands)


def is_differentiated_by_transform() -> bool:
    """Return whether ``torch.func.grad`` or its relatives differentiate what is called."""
    return are_transforms_active() and _n_gradients() > 0


def records_operations(x: Tensor) -> bool:
    """Return whether torch may differentiate what is done to ``x``, so that nothing may change it in place."""
    return torch.is_grad_enabled() and (x.requires_grad or are_transforms_active())


# torch 2.6 cannot tell exporting from compiling; a compiled training step then only computes its states again.
is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)


def is_recorded() -> bool:
    """Return whether ``torch.export`` or ``torch.jit.trace`` makes a graph, which serves every device and inference."""
    return is_exporting() or is_traced()


def will_be_differentiated(*operands: Any) -> bool:
    """Return whether a backward pass may follow that starts from saved states."""
    # It should not carry the states of a backward pass.
    if not torch.is_grad_enabled() or is_recorded():
        return False
    return any(isinstance(x, Tensor) and x.requires_grad for x in operands)


def is_unwatched(*operands: Any) -> bool:
    """Return whether nothing but the caller would see a call that goes around torch's dispatcher.

    Compilers, tracers, transforms, modes, profilers and subclasses of tensors see what is dispatched.

    Args:
        operands: of the call; only tensors count.
    """
    if torch.compiler.is_compiling() or is_traced() or torch._C._are_functorch_transforms_active():
        return False
    if torch._C._len_torch_dispatch_stack() or torch._C._len_torch_function_stack():
        return False
    if torch._C._autograd._profiler_enabled():
        return False
    return all(type(x) in _PLAIN_TENSORS for x in operands if isinstance(x, Tensor))


_PLAIN_TENSORS = (Tensor, torch.nn.Parameter)


def function_for_transforms(
    operator: str, setup_context: Callable[..., None], backward: Callable[..., tuple[Tensor | None, ...]]
) -> type[torch.autograd.Function]:
    """Return an operator that saves something as the kind of function that ``torch.func`` can differentiate and map.

    It cannot do so with the formula of ``torch.library.register_autograd``.

    Args:
        operator: name in our namespace, such as "selective_scan_saving".
        setup_context: what that formula saves.
        backward: the formula.
    """

    def forward(*given: Any) -> tuple[Tensor, ...]:
        results: tuple[Tensor, ...] = getattr(torch.ops.nnunet_mamba, operator)(*given)
        return results

    parts: dict[str, Callable[..., Any]] = {"forward": forward, "setup_context": setup_context, "backward": backward}
    members = {name: staticmethod(function) for name, function in parts.items()}
    return type(operator, (torch.autograd.Function,), {**members, "generate_vmap_rule": True})


def refuse_tangents(operator: str, *operands: Any) -> None:
    """Refuse operands that forward-mode differentiation follows.

    Raises:
        NotImplementedError: there is one.
    """
    if forward_ad._current_level >= 0 and _has_tangent(operands):
        raise NotImplementedError(
            f"{operator} has no forward-mode derivatives; call the function of nnunet_mamba.ops, which has them"
        )


def are_transforms_active() -> bool:
    """Return whether a transform of ``torch.func`` looks on."""
    # torch's compiler resolves transforms itself, and does not trace this question.
    return not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()


def _has_tangent(operands: tuple[Any, ...]) -> bool:
    return any(
        isinstance(x, Tensor) and forward_ad.unpack_dual(x).tangent is not None  # type: ignore[no-untyped-call]
        for x in operands
    )


def _n_gradients() -> int:
    stack = torch._C._functorch.get_interpreter_stack() or ()
    return sum(transform.key() == torch._C._functorch.TransformType.Grad for transform in stack)
