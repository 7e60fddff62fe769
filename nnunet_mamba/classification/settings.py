"""What a training of a classification network does, as data that its files carry."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from nnunet_mamba.networks.classifiers.catalogue import classifier_class, create_classifier
from nnunet_mamba.presets import CLASSIFIERS
from nnunet_mamba.system.checked_entries import Entry

if TYPE_CHECKING:
    from nnunet_mamba.networks.classifiers.classification_network import ClassificationNetwork

COLOURS = 3
# What is another machine's business, and not the result's.
_OF_THE_MACHINE = ("device", "workers")
_DEVICES = re.compile(r"(cpu|cuda|mps)(:\d+)?")


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings:
    """A network and how it is trained: AdamW, cross entropy, a learning rate that rises and then falls as a cosine.

    Args:
        network: one of ``list_networks("classification")``.
        image_size: (h, w) in pixels that all images are resized to.
        overrides: keyword arguments of the network, see ``create_network``; ``image_size`` is the one above.
        epochs: passes over the training images.
        batch_size: images in a step.
        learning_rate: the highest one.
        weight_decay: of AdamW, on weights of two axes or more, see ``parameter_groups``.
        label_smoothing: share of a label that is spread over all classes.
        balanced_loss: whether every class counts the same in the loss, however many images it has.
        crop_padding: pixels by which an image is moved at most to each side.
        flip: whether images are mirrored at random, left to right.
        rand_augment: whether torchvision's RandAugment varies images further, by its usual 2 operations of strength 9.
        normalisation: "imagenet" subtracts ImageNet's mean colour and divides by its deviation; "image" takes those of
            each image and channel, as nnU-Net does with photographs.
        seed: of weights, order and variation; runs of one seed are equal on one machine with as many workers, which was
            shown on CPUs.
        device: that trains, "cuda" or "cpu"; a CPU stands in for a device that is not there.
        workers: processes that read and vary images beside the training; 0 does it in the training's own.

    Raises:
        ValueError: a value is none of those.
    """

    network: str
    image_size: tuple[int, int]
    overrides: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.0
    balanced_loss: bool = False
    crop_padding: int = 4
    flip: bool = True
    rand_augment: bool = False
    normalisation: Literal["imagenet", "image"] = "imagenet"
    seed: int = 0
    device: str = "cuda"
    workers: int = 0

    def __post_init__(self) -> None:
        if self.network not in CLASSIFIERS:
            raise ValueError(f"network={self.network!r}, expected one of {', '.join(sorted(CLASSIFIERS))}")
        size = Entry(list(self.image_size), "image_size", "pass (h, w) in pixels")
        object.__setattr__(self, "image_size", tuple(item.whole(least=1) for item in size.items(n=2)))
        for name, least in (("epochs", 1), ("batch_size", 1), ("crop_padding", 0), ("seed", 0), ("workers", 0)):
            Entry(getattr(self, name), name, "pass such a number").whole(least=least)
        for name in ("learning_rate", "weight_decay", "label_smoothing"):
            if Entry(getattr(self, name), name, "pass such a number").number() < 0:
                raise ValueError(f"{name}={getattr(self, name)}, expected at least 0")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing={self.label_smoothing}, expected a share in [0, 1)")
        if self.normalisation not in ("imagenet", "image"):
            raise ValueError(f"normalisation={self.normalisation!r}, expected 'imagenet' or 'image'")
        for name in ("flip", "rand_augment", "balanced_loss"):
            Entry(getattr(self, name), name, "pass one of them").flag()
        require_device(self.device)

    def create_network(self, num_classes: int) -> "ClassificationNetwork":
        """Return the network with new weights, for images of three colours.

        Raises:
            ValueError: a value does not fit the network.
            TypeError: an override is unknown.
        """
        has_size = "image_size" in classifier_class(self.network).keyword_arguments()
        of_size = {"image_size": self.image_size} if has_size else {}
        return create_classifier(self.network, COLOURS, num_classes, **{**self.overrides, **of_size})

    def as_json(self) -> dict[str, Any]:
        """Return the settings as JSON has them."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**values, "image_size": list(self.image_size), "overrides": _as_lists(self.overrides)}

    def differences(self, other: "ClassifierSettings") -> list[str]:
        """Return the names of what would give another result."""
        ours, theirs = self.as_json(), other.as_json()
        return [name for name in ours if name not in _OF_THE_MACHINE and ours[name] != theirs[name]]


def require_device(name: str) -> None:
    """Raise a ValueError unless ``name`` is torch's name of a device that networks can compute on."""
    if not isinstance(name, str) or not _DEVICES.fullmatch(name):
        raise ValueError(f"`device={name!r}`, expected 'cpu', 'cuda', 'mps' or such as 'cuda:1'")


def settings_from_json(values: Mapping[str, Any]) -> ClassifierSettings:
    """Return the settings that ``as_json`` gave.

    Raises:
        ValueError: a value is none that settings have.
        TypeError: a name is unknown or missing.
    """
    return ClassifierSettings(**{**values, "overrides": _with_tuples(values.get("overrides", {}))})


def _as_lists(value: Any) -> Any:
    """Return a value with lists for tuples, as JSON has them."""
    if isinstance(value, Mapping):
        return {name: _as_lists(inner) for name, inner in value.items()}
    return list(map(_as_lists, value)) if isinstance(value, list | tuple) else value


def _with_tuples(value: Any) -> Any:
    """Return a value of JSON with tuples for lists, as networks have them."""
    if isinstance(value, Mapping):
        return {name: _with_tuples(inner) for name, inner in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list | tuple) else value
