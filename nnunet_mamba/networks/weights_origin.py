"""Tell by their names whose published weights these are when they do not fit a network."""

import re
from collections.abc import Collection

import torch
from torch import nn

from nnunet_mamba.networks.catalogue import create_network, list_networks, missing_packages, network_class
from nnunet_mamba.networks.segmentation_network import WeightsOrigin
from nnunet_mamba.networks.upstream_names import published_name
from nnunet_mamba.presets import PRESETS, Preset

# The share of names that weights and a network must have in common for the weights to be the network's.
_ALIKE = 0.9


def recognised_origin(names: Collection[str], *, network: type[nn.Module]) -> WeightsOrigin | None:
    """Return whose weights these are, or None if their names tell nothing.

    Args:
        names: of the weights, without wrappers.
        network: the class that they do not fit.
    """
    if not names:
        return WeightsOrigin("There are no weights in it")
    if {"network_weights", "trainer_name"} <= set(names):
        return WeightsOrigin("This is a whole checkpoint of nnU-Net; pass its entry 'network_weights'")
    possible = [preset for preset in map(PRESETS.__getitem__, list_networks()) if _may_be_of(preset, names)]
    for known in dict.fromkeys(map(network_class, possible)):
        if origin := known.recognise_weights(names, network=network):
            return origin
    alike = [preset.name for preset in possible if _likeness(preset.name, names) >= _ALIKE]
    if alike:
        return WeightsOrigin("The names are those of one of our networks", networks=tuple(alike))
    return None


def _may_be_of(preset: Preset, names: Collection[str]) -> bool:
    """Return whether it is worth while to import and build a preset's network for a closer look."""
    known_by = preset.weights_known_by
    return bool(known_by) and any(re.search(known_by, name) for name in names) and not missing_packages(preset)


def _likeness(network: str, names: Collection[str]) -> float:
    with torch.device("meta"):
        net = create_network(network, 3, 1)
    ours = {published_name(net, key) for key in net.state_dict()}
    return len(ours & set(names)) / max(1, len(ours | set(names)))
