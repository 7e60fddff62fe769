"""Networks for classification by name."""

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from nnunet_mamba.networks.catalogue import suggest
from nnunet_mamba.networks.classifiers.classification_network import ClassificationNetwork
from nnunet_mamba.presets import CLASSIFIERS

if TYPE_CHECKING:
    from collections.abc import Callable


def create_classifier(name: str, input_channels: int, num_classes: int, **overrides: Any) -> ClassificationNetwork:
    """Build a classification network with new weights.

    Args:
        name: one of ``list_networks("classification")``.
        input_channels: channels of the images.
        num_classes: numbers that an image gets.
        overrides: keyword arguments of the network's class that replace the preset's.

    Raises:
        ValueError: ``name`` is unknown, or a value does not fit the network.
        TypeError: an override is unknown.
    """
    if name not in CLASSIFIERS:
        raise ValueError(f"unknown classification network {name!r}; {suggest(name, sorted(CLASSIFIERS))}")
    network = classifier_class(name)
    known = network.keyword_arguments()
    for override in overrides:
        if override not in known:
            raise TypeError(f"{name} takes no override {override!r}; {suggest(override, known)}")
    build: Callable[..., ClassificationNetwork] = network
    return build(input_channels, num_classes, **{**CLASSIFIERS[name].arguments, **overrides})


def classifier_class(name: str) -> type[ClassificationNetwork]:
    """Return the class of a classification network, by the name of its preset."""
    network: type[ClassificationNetwork] = resolve_name(CLASSIFIERS[name].network)
    return network
