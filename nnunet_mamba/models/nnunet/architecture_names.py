"""Names of networks and layers in nnU-Net's plans: nnU-Net calls whatever they name, so they must be of layers."""

import builtins
import importlib.util
import pydoc
import sys
from collections.abc import Mapping
from typing import Any

from torch import nn

from nnunet_mamba.models.nnunet.checkpoint_reading import CodeInCheckpointError

# Packages that hold the networks and layers of nnU-Net's plans; importing their modules does nothing else.
_HOLD_LAYERS = ("torch", "dynamic_network_architectures", "nnunetv2", "nnunet_mamba")


def refuse_other_than_layers(planned: Mapping[str, Any], whose: str) -> None:
    """Raise if plans would have nnU-Net call something else than layers.

    Args:
        planned: entries of the configuration. Plans of the first nnU-Net v2 name one of two networks, and are left to
            nnU-Net.
        whose: the plans are, for the text of the error.

    Raises:
        CodeInCheckpointError: they name something else.
        ValueError: they have no complete architecture.
    """
    if "architecture" not in planned and "UNet_class_name" in planned:
        return
    try:
        architecture = planned["architecture"]
        arguments = architecture["arch_kwargs"]
        names = [architecture["network_class_name"]]
        names += [arguments.get(name) for name in architecture["_kw_requires_import"]]
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{whose} has plans without a complete architecture ({type(error).__name__}: {error}). Name another one"
        ) from error
    for name in filter(None, names):
        # nnU-Net looks for a name that leads nowhere among its own networks.
        if not isinstance(name, str) or (_is_elsewhere(name) or not _is_layer_or_nothing(name)):
            raise CodeInCheckpointError(
                f"{whose} has plans that build their network with {name!r}, which is no layer or network of torch. "
                "Calling it could do anything, so it is not built. Name another one"
            )


def _is_elsewhere(name: str) -> bool:
    """Return whether looking a name up would import, and so run, a module that is not known to be harmless."""
    top, *inner = name.split(".")
    # nnU-Net finds its own networks by the last part of the name, wherever another version had them.
    is_there = importlib.util.find_spec(top) is not None if top.isidentifier() else False
    return bool(inner) and is_there and top not in _HOLD_LAYERS and name.rpartition(".")[0] not in sys.modules


def _is_layer_or_nothing(name: str) -> bool:
    if "." not in name:
        return not name.isidentifier() or not (hasattr(builtins, name) or importlib.util.find_spec(name))
    try:
        found = pydoc.locate(name)
    except pydoc.ErrorDuringImport:
        return False
    return found is None or (isinstance(found, type) and issubclass(found, nn.Module))
