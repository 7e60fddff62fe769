"""The first layer of a network whose output, or weight whose gradient, is not finite."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nnunet_mamba.system.memory_errors import is_lack_of_memory


@dataclass(frozen=True, kw_only=True)
class NonFiniteLayer:
    """The first layer whose output, or weight whose gradient, is not finite.

    Args:
        name: as in the network's ``named_modules``, or in its ``named_parameters`` for a gradient.
        kind: class of the layer, or "gradient".
        n_values: values that are not finite.
        n_total: all values.
        largest_input: largest absolute value that went in; None for a gradient.
    """

    name: str
    kind: str
    n_values: int
    n_total: int
    largest_input: float | None = None

    def __str__(self) -> str:
        count = f"{self.n_values} of {self.n_total} values are not finite"
        if self.largest_input is None:
            return f"The first gradient that is not finite is that of {self.name} ({count})"
        name = self.name or "the network as a whole"
        return (
            f"The first layer with an output that is not finite is {name} ({self.kind}): {count}, from inputs up to "
            f"{self.largest_input:.3g}"
        )


def find_first_non_finite(network: nn.Module, rerun: Callable[[nn.Module], object]) -> NonFiniteLayer | None:
    """Run a network again and return its first value that is not finite, None if all are finite this time.

    Layers come before gradients: layers in the order in which they end, gradients in the order of the backward pass.

    Args:
        network: loses its gradients.
        rerun: runs a forward and a backward pass with it.

    Raises:
        RuntimeError: among others for memory that was too short, if nothing had been found by then.
    """
    found: list[NonFiniteLayer] = []
    try:
        with _watched_layers(network, found), _watched_gradients(network, found):
            rerun(network)
    except (RuntimeError, MemoryError) as error:
        if not found or not is_lack_of_memory(error, of_workspace=True):
            raise
    finally:
        network.zero_grad(set_to_none=True)
    return found[0] if found else None


@contextmanager
def _watched_layers(network: nn.Module, found: list[NonFiniteLayer]) -> Iterator[None]:
    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def check(layer: nn.Module, inputs: Any, output: Any) -> None:
            if found:
                return
            for tensor in floating_tensors(output):
                if n_values := _n_non_finite(tensor):
                    largest = max((_largest(one) for one in floating_tensors(inputs)), default=0.0)
                    found.append(
                        NonFiniteLayer(
                            name=name,
                            kind=type(layer).__name__,
                            n_values=n_values,
                            n_total=tensor.numel(),
                            largest_input=largest,
                        )
                    )
                    return

        return check

    handles = [layer.register_forward_hook(watch(name)) for name, layer in network.named_modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _watched_gradients(network: nn.Module, found: list[NonFiniteLayer]) -> Iterator[None]:
    def watch(name: str) -> Callable[[Tensor], None]:
        def check(parameter: Tensor) -> None:
            gradient = parameter.grad
            if not found and gradient is not None and (n_values := _n_non_finite(gradient)):
                found.append(NonFiniteLayer(name=name, kind="gradient", n_values=n_values, n_total=gradient.numel()))

        return check

    handles = [
        parameter.register_post_accumulate_grad_hook(watch(name))  # type: ignore[no-untyped-call]
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def floating_tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of floating point in ``value``, a tensor or nested lists and tuples of them."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from floating_tensors(one)


def _n_non_finite(tensor: Tensor) -> int:
    return int((~torch.isfinite(tensor)).sum())


def _largest(tensor: Tensor) -> float:
    finite = tensor.detach()[torch.isfinite(tensor)]
    return float(finite.abs().max()) if finite.numel() else 0.0
