"""What the values of published weights must be: dense numbers that are there, finite, and of the network's kind."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from nnunet_mamba.networks.wrappers import without_wrappers

# Numbers that thop leaves in the modules it has counted.
COUNTERS = ("total_ops", "total_params")
_FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
_INTEGERS = frozenset({torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64})
# Named one by one in errors; a damaged file has hundreds.
_SHOWN = 5


def published_tensors(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return published weights without the wrappers in front of their names and the counters among them.

    Raises:
        TypeError: they are no weights by name, or a value is not a dense tensor with numbers of its own.
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"published weights: found {'None' if state_dict is None else f'a {type(state_dict).__name__}'}, expected "
            f"a state dict, a tensor for every name; pass what torch.load returns, or its entry with the weights"
        )
    for key, value in state_dict.items():
        if not isinstance(key, str):
            raise TypeError(f"published weights: the key {key!r} is a {type(key).__name__}, expected a name")
        if not isinstance(value, Tensor):
            raise TypeError(
                f"published weights: {key!r} is a {type(value).__name__}, expected a tensor; pass the state dict "
                f"itself, such as checkpoint['state_dict']"
            )
        _require_numbers(key, value)
    return {key: value for key, value in without_wrappers(state_dict).items() if not key.endswith(COUNTERS)}


def require_fitting_values(pairs: Iterable[tuple[str, Tensor, Tensor]]) -> None:
    """Refuse values that a network cannot take although their shapes fit.

    Args:
        pairs: published name, published value and the network's own of every weight that would be loaded.

    Raises:
        TypeError: a value is of another kind, such as whole numbers for a weight.
        ValueError: a value is not finite, or not so in the network's dtype.
    """
    not_finite = []
    for key, value, ours in pairs:
        expected = _FLOATS if ours.is_floating_point() else _INTEGERS
        if value.dtype not in expected:
            kind = "floating-point" if ours.is_floating_point() else "whole"
            raise TypeError(
                f"published weights: {key!r} is {value.dtype}, expected {kind} numbers as the network's {ours.dtype}; "
                f"take the original file"
            )
        if ours.is_floating_point() and not bool(value.to(ours.dtype).isfinite().all()):
            not_finite.append(key)
    if not_finite:
        shown = ", ".join(map(repr, not_finite[:_SHOWN]))
        others = f" and {len(not_finite) - _SHOWN} more" if len(not_finite) > _SHOWN else ""
        raise ValueError(
            f"published weights: {len(not_finite)} of them have numbers that are not finite (NaN or infinite), {shown}"
            f"{others}; nothing was loaded. Their training failed or the file is damaged: take another one"
        )


def _require_numbers(key: str, value: Tensor) -> None:
    if value.layout != torch.strided or value.is_quantized or value.is_nested:
        kind = "quantised" if value.is_quantized else "nested" if value.is_nested else f"of the layout {value.layout}"
        raise TypeError(f"published weights: {key!r} is {kind}, expected a dense tensor; take the original weights")
    if value.is_meta:
        raise TypeError(
            f"published weights: {key!r} is on the device meta and has no numbers; load the file with "
            f"map_location='cpu'"
        )
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise TypeError(
            f"published weights: {key!r} has shape {tuple(value.shape)}, more numbers than it holds in memory; take "
            f"the original weights"
        )
