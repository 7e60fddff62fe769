"""A map whose gradient arrives in the plain layout of memory, for layers whose derivative needs it."""

from typing import Any

import torch
from torch import Tensor

from nnunet_mamba.ops.transforms import is_recorded


def with_contiguous_gradient(x: Tensor) -> Tensor:
    """Return ``x``, with its gradient copied into the plain layout on the way back.

    On a CPU torch's batch and instance norms compute a wrong gradient, without a word, where the map is contiguous and
    the incoming gradient is that of a single image with its channels last and an odd stride of the batch axis. GELU
    makes such gradients of those that come from tokens.

    Args:
        x: of any shape, as the norm returns it.
    """
    # A traced or exported graph serves inference, which has no gradients.
    if is_recorded() or not torch.is_grad_enabled():
        return x
    # torch.compile takes no function that has a forward derivative of its own.
    identity = _ContiguousGradient if torch.compiler.is_compiling() else _DifferentiableForward
    result: Tensor = identity.apply(x)
    return result


class _ContiguousGradient(torch.autograd.Function):
    """The identity, whose derivative is the identity in the plain layout."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous()


class _DifferentiableForward(_ContiguousGradient):
    """The same, with its derivative in forward mode."""

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return tangent.view_as(tangent)
