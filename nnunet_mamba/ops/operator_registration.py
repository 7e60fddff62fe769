"""Tell torch about an operator of ours: schemas, fake kernels, gradients, and how ``torch.func`` takes it.

Each operator becomes three. NAME returns its result, NAME_saving also what a backward pass starts from, mostly states,
and NAME_backward the gradients of the tensor operands. torch.compile and torch.export see one node and never what
computes it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from nnunet_mamba.ops.autocast import without_autocast
from nnunet_mamba.ops.batching import register_folding, register_one_by_one
from nnunet_mamba.ops.second_derivatives import refuse_second_derivatives
from nnunet_mamba.ops.transforms import (
    function_for_transforms,
    is_differentiated_by_transform,
    refuse_tangents,
    will_be_differentiated,
)

Operands = TypeVar("Operands", bound=tuple[Any, ...])
_Given = TypeVar("_Given", contravariant=True)


class Implementation(Protocol[_Given]):
    """What computes an operator on operands that are checked; a module of functions will do."""

    def forward(self, operands: _Given, /) -> Tensor:
        """Return the result."""

    def forward_saving(self, operands: _Given, /) -> tuple[Tensor, ...]:
        """Return the result and what a backward pass starts from."""

    def backward(self, gradient: Tensor, operands: _Given, /, *saved: Any) -> tuple[Tensor | None, ...]:
        """Return one gradient per tensor operand, None for an absent one; no two may share memory."""


def new_like_first(operands: tuple[Any, ...]) -> Tensor:
    """Return room for a result in the shape and dtype of the first operand."""
    result: Tensor = operands[0].new_empty(operands[0].shape)
    return result


@dataclass(frozen=True, kw_only=True)
class Operator(Generic[Operands]):
    """An operator with one result.

    Args:
        name: in the namespace ``nnunet_mamba``.
        schema: the operands in torch's notation, tensors first.
        result: what the result is called; its gradient is called "d" and this.
        make: puts operands together from a sequence of them.
        check: refuses operands that do not fit.
        check_saved: refuses a gradient and what is saved if they do not come from a forward pass with the operands,
            which it is given last.
        new_saved: makes room for what a forward pass saves; every tensor of it begins with the batch.
        new_result: makes room for the result; by default in the shape and dtype of the first operand.
        load: returns what computes these operands.
        device: torch's dispatch keys, such as "CPU", or "default" for every device.
        with_batch: numbers of the operands that begin with the batch.
        saved: names of what a forward pass saves.
        needs_saved: whether the backward pass must be given it.
        twice_differentiable: what has second derivatives in its place, for the error where they are asked for.
    """

    name: str
    schema: str
    result: str
    make: Callable[[Iterable[Any]], Operands]
    check: Callable[[Operands], None]
    check_saved: Callable[..., None]
    new_saved: Callable[[Operands], tuple[Tensor, ...]]
    load: Callable[[Operands], Implementation[Operands]]
    device: str | tuple[str, ...]
    with_batch: tuple[int, ...]
    saved: tuple[str, ...] = ("states",)
    needs_saved: bool = True
    twice_differentiable: str = "the plain torch scan, nnunet_mamba.ops.scan.reference.forward"
    new_result: Callable[[Operands], Tensor] = new_like_first

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """The names of the tensor operands."""
        return tuple(one.split(" ")[1] for one in self.schema.split(", ") if one.startswith("Tensor"))

    def checked(self, given: Iterable[Any]) -> Operands:
        """Return the operands, or raise what ``check`` raises."""
        operands = self.make(given)
        self.check(operands)
        return operands

    def computed(self, operands: Operands) -> Tensor:
        """Return the result for operands that are checked."""
        # Autocast would reach the operations inside an implementation and undo its float32.
        with without_autocast(operands[0].device.type):
            return self.load(operands).forward(operands).contiguous()


def register(operator: Operator[Operands]) -> Callable[..., Tensor]:
    """Register an operator with torch.

    Returns:
        A function that calls it with its operands, and saves what a backward pass needs where one may follow.
    """
    _define(operator)
    _register_kernels(operator)
    _register_fake_kernels(operator)
    call = _register_gradients(operator)
    name = f"nnunet_mamba::{operator.name}"
    register_folding(name, cases=operator.with_batch)
    register_folding(f"{name}_saving", cases=operator.with_batch)
    register_one_by_one(f"{name}_backward")
    return call


def _define(operator: Operator[Operands]) -> None:
    # Not ``torch.library.custom_op``, whose first call imports torch's compiler, which takes a second.
    name, operands = f"nnunet_mamba::{operator.name}", operator.schema
    kind = "Tensor" if operator.needs_saved else "Tensor?"
    saved = ", ".join(f"{kind} {one}" for one in operator.saved)
    results = ", ".join("Tensor" for _ in ("result", *operator.saved))
    gradients = ", ".join("Tensor" for _ in operator.tensor_names)
    torch.library.define(name, f"({operands}) -> Tensor")
    torch.library.define(f"{name}_saving", f"({operands}) -> ({results})")
    torch.library.define(f"{name}_backward", f"(Tensor d{operator.result}, {saved}, {operands}) -> ({gradients})")


def _register_kernels(operator: Operator[Operands]) -> None:
    name, n_saved = operator.name, len(operator.saved)

    def forward(*given: Any) -> Tensor:
        operands = operator.checked(given)
        refuse_tangents(name, *given)
        return operator.computed(operands)

    def forward_saving(*given: Any) -> tuple[Tensor, ...]:
        operands = operator.checked(given)
        refuse_tangents(f"{name}_saving", *given)
        with without_autocast(given[0].device.type):
            results = operator.load(operands).forward_saving(operands)
        return tuple(result.contiguous() for result in results)

    def backward(gradient: Tensor, *saved_and_given: Any) -> tuple[Tensor, ...]:
        saved, operands = saved_and_given[:n_saved], operator.checked(saved_and_given[n_saved:])
        operator.check_saved(gradient, *saved, operands)
        refuse_tangents(f"{name}_backward", gradient, *saved_and_given)
        with without_autocast(gradient.device.type):
            gradients = operator.load(operands).backward(gradient, operands, *saved)
        # An operator cannot return None, so the gradient of an absent operand is an empty tensor.
        return tuple(gradient.new_empty(0) if one is None else one.contiguous() for one in gradients)

    for suffix, kernel in (("", forward), ("_saving", forward_saving), ("_backward", backward)):
        torch.library.impl(f"nnunet_mamba::{name}{suffix}", operator.device, kernel)


def _register_fake_kernels(operator: Operator[Operands]) -> None:
    n_tensors, n_saved = len(operator.tensor_names), len(operator.saved)

    def forward(*given: Any) -> Tensor:
        return operator.new_result(operator.checked(given))

    def forward_saving(*given: Any) -> tuple[Tensor, ...]:
        return forward(*given), *operator.new_saved(operator.make(given))

    def backward(gradient: Tensor, *saved_and_given: Any) -> tuple[Tensor, ...]:
        saved, given = saved_and_given[:n_saved], saved_and_given[n_saved:]
        operator.check_saved(gradient, *saved, operator.checked(given))
        return tuple(gradient.new_empty(0) if x is None else x.new_empty(x.shape) for x in given[:n_tensors])

    for suffix, kernel in (("", forward), ("_saving", forward_saving), ("_backward", backward)):
        torch.library.register_fake(f"nnunet_mamba::{operator.name}{suffix}", kernel)


def _register_gradients(operator: Operator[Operands]) -> Callable[..., Tensor]:
    name = f"nnunet_mamba::{operator.name}"
    n_tensors, n_saved = len(operator.tensor_names), len(operator.saved)
    plain = getattr(torch.ops.nnunet_mamba, operator.name)
    saving = getattr(torch.ops.nnunet_mamba, f"{operator.name}_saving")
    operand_gradients = refuse_second_derivatives(f"{name}_backward", way_out=operator.twice_differentiable)

    def save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.options = inputs[n_tensors:]
        ctx.save_for_backward(*(None for _ in operator.saved), *inputs[:n_tensors])

    def save_more(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.options = inputs[n_tensors:]
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*output[1:], *inputs[:n_tensors])

    def backward(ctx: Any, gradient: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        saved, tensors = ctx.saved_tensors[:n_saved], ctx.saved_tensors[n_saved:]
        if operator.needs_saved and saved[0] is None:
            _, *saved = saving(*tensors, *ctx.options)
        gradients = operand_gradients(gradient.contiguous(), *saved, *tensors, *ctx.options)
        present = (None if x is None else one for x, one in zip(tensors, gradients, strict=True))
        return (*present, *(None for _ in ctx.options))

    torch.library.register_autograd(name, backward, setup_context=save)
    torch.library.register_autograd(f"{name}_saving", backward, setup_context=save_more)
    function: Any = function_for_transforms(f"{operator.name}_saving", save_more, backward)

    def call(*operands: Any) -> Tensor:
        result: Tensor
        if is_differentiated_by_transform():
            result, *_ = function.apply(*operands)
        elif will_be_differentiated(*operands):
            result, *_ = saving(*operands)
        else:
            result = plain(*operands)
        return result

    return call
