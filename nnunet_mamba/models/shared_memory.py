"""Weights of a layer that a network has under several names: they share their memory, and should go on to do so."""

from collections.abc import Mapping

from torch import Tensor


def memory_of(value: Tensor, name: str) -> object:
    """Return what the weights of one layer have in common under all of its names, and no other weights have.

    Args:
        value: of a network's state.
        name: its name there.
    """
    if not value.numel():
        return name
    return value.data_ptr(), value.dtype, tuple(value.shape), value.stride()


def copied_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies of weights; those that share their memory still do.

    Args:
        weights: of a network.
    """
    copies: dict[object, Tensor] = {}
    for name, value in weights.items():
        if (memory := memory_of(value, name)) not in copies:
            copies[memory] = value.clone()
    return {name: copies[memory_of(value, name)] for name, value in weights.items()}
