"""The names that published code has for the parts of our modules.

A network or block of ours whose parts are published under other names is ``Renamed``. Every other name is the same in
both.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import nn


@runtime_checkable
class Renamed(Protocol):
    """A module with parts that have other names in the published code."""

    @property
    def published_names(self) -> Mapping[str, str]:
        """The name of a part, relative to the module, to its published name."""


def published_name(module: "nn.Module", key: str) -> str:
    """Return the published name of ``key``, a key of ``module``'s state dict."""
    renamed = module.published_names if isinstance(module, Renamed) else {}
    for part, published in renamed.items():
        if key == part:
            return published
        if key.startswith(f"{part}."):
            return f"{published}.{published_name(module.get_submodule(part), key[len(part) + 1 :])}"
    part, dot, rest = key.partition(".")
    return f"{part}.{published_name(module.get_submodule(part), rest)}" if dot else key
