"""Networks by name."""

import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from nnunet_mamba.presets import PRESETS

if TYPE_CHECKING:
    from torch import nn


def list_networks() -> list[str]:
    """Return the names that ``create_network`` knows, sorted."""
    return sorted(PRESETS)


def create_network(name: str, input_channels: int, num_classes: int, **overrides: Any) -> "nn.Module":
    """Build a network with new weights; a plain module that returns logits.

    Args:
        name: one of ``list_networks()``.
        input_channels: channels of the images.
        num_classes: channels of the logits.
        overrides: keyword arguments of the network's class that replace the preset's.

    Raises:
        ValueError: ``name`` is unknown, or a value does not fit the network.
        TypeError: an override is unknown.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown network {name!r}; {_suggest(name, list_networks())}")
    preset = PRESETS[name]
    network = resolve_name(preset.network)
    known = _keyword_arguments(network)
    for override in overrides:
        if override not in known:
            raise TypeError(f"{name} takes no override {override!r}; {_suggest(override, known)}")
    built: nn.Module = network(input_channels, num_classes, **{**preset.arguments, **overrides})
    return built


def _keyword_arguments(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


def _suggest(wrong: str, valid: Iterable[str]) -> str:
    valid = list(valid)
    nearest = get_close_matches(wrong, valid, cutoff=0.4)
    hint = f"did you mean {' or '.join(map(repr, nearest))}? " if nearest else ""
    return f"{hint}Choose one of: {', '.join(valid)}"
