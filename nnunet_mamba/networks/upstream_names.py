"""The names that published code has for the parts of our modules.

Modules of ours whose parts are published under other names carry ``published_names``: a mapping from the name of a
part, relative to the module, to its published name. Every other name is the same in both.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn


def published_name(module: "nn.Module", key: str) -> str:
    """Return the published name of ``key``, a key of ``module``'s state dict."""
    renamed: Mapping[str, str] = getattr(module, "published_names", {})
    for part, published in renamed.items():
        if key == part:
            return published
        if key.startswith(f"{part}."):
            return f"{published}.{published_name(module.get_submodule(part), key[len(part) + 1 :])}"
    part, dot, rest = key.partition(".")
    return f"{part}.{published_name(module.get_submodule(part), rest)}" if dot else key
