"""Networks by name."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal, overload

from nnunet_mamba.presets import CLASSIFIERS, PRESETS, ClassifierName, Preset

if TYPE_CHECKING:
    from nnunet_mamba.networks.classification_network import ClassificationNetwork
    from nnunet_mamba.networks.segmentation_network import SegmentationNetwork


Task = Literal["segmentation", "classification"]


def list_networks(task: Task = "segmentation") -> list[str]:
    """Return the names that ``create_network`` knows, sorted.

    Args:
        task: "segmentation" for networks that give every pixel a class, "classification" for those that give the image
            one.

    Raises:
        ValueError: there is no such task.
    """
    of_task: dict[str, Mapping[str, Any]] = {"segmentation": PRESETS, "classification": CLASSIFIERS}
    if task not in of_task:
        raise ValueError(f"unknown task {task!r}; {_suggest(str(task), of_task)}")
    return sorted(of_task[task])


@overload
def create_network(
    name: ClassifierName, input_channels: int, num_classes: int, **overrides: Any
) -> "ClassificationNetwork": ...


@overload
def create_network(name: str, input_channels: int, num_classes: int, **overrides: Any) -> "SegmentationNetwork": ...


def create_network(
    name: str, input_channels: int, num_classes: int, **overrides: Any
) -> "SegmentationNetwork | ClassificationNetwork":
    """Build a network with new weights; a plain module that returns logits.

    Args:
        name: one of ``list_networks()``, or of ``list_networks("classification")``.
        input_channels: channels of the images.
        num_classes: channels of the logits.
        overrides: keyword arguments of the network's class that replace the preset's. ``spatial_dims=3``, or
            kernel sizes or strides of three numbers, begin with the preset's size for volumes; so does a network
            that exists in 3D only.

    Raises:
        ValueError: ``name`` is unknown, the network has no such number of axes, or a value does not fit the network.
        TypeError: an override is unknown.
        ModuleNotFoundError: the network needs an optional package that is not installed.
    """
    if name in CLASSIFIERS:
        return create_classifier(name, input_channels, num_classes, **overrides)
    if name not in PRESETS:
        raise ValueError(f"unknown network {name!r}; {_suggest(name, [*list_networks(), *sorted(CLASSIFIERS)])}")
    preset = PRESETS[name]
    require_packages(preset)
    network = network_class(preset)
    spatial_dims = overrides.get("spatial_dims")
    if spatial_dims is None:
        spatial_dims = network.axes_named_by(overrides) or min(preset.spatial_dims)
    if spatial_dims not in preset.spatial_dims:
        exists = " and ".join(f"{dims}D" for dims in preset.spatial_dims)
        way_out = "pass slices of a volume to it as a batch" if 2 in preset.spatial_dims else "leave spatial_dims out"
        raise ValueError(
            f"{name}: spatial_dims={spatial_dims!r}, but this network exists in {exists}; {way_out}, "
            f"or choose one of: {', '.join(_networks_with(spatial_dims)) or 'none'}"
        )
    known = network.keyword_arguments()
    for override in overrides:
        if override not in (*known, "spatial_dims"):
            raise TypeError(f"{name} takes no override {override!r}; {_suggest(override, known)}")
    arguments = {**preset.size(spatial_dims).arguments, **overrides, "spatial_dims": spatial_dims}
    if "spatial_dims" not in known:
        del arguments["spatial_dims"]
    build: Callable[..., SegmentationNetwork] = network
    built = build(input_channels, num_classes, **arguments)
    built.check_heads()
    return built


def create_classifier(name: str, input_channels: int, num_classes: int, **overrides: Any) -> "ClassificationNetwork":
    """Build a classification network; arguments and errors are those of ``create_network``."""
    if name not in CLASSIFIERS:
        raise ValueError(f"unknown classification network {name!r}; {_suggest(name, sorted(CLASSIFIERS))}")
    network = classifier_class(name)
    known = network.keyword_arguments()
    for override in overrides:
        if override not in known:
            raise TypeError(f"{name} takes no override {override!r}; {_suggest(override, known)}")
    build: Callable[..., ClassificationNetwork] = network
    return build(input_channels, num_classes, **{**CLASSIFIERS[name].arguments, **overrides})


def classifier_class(name: str) -> "type[ClassificationNetwork]":
    """Return the class of a classification network, by the name of its preset."""
    network: type[ClassificationNetwork] = resolve_name(CLASSIFIERS[name].network)
    return network


def network_class(preset: Preset) -> "type[SegmentationNetwork]":
    """Return the class of a preset's network; an optional package is imported only when the network is built."""
    network: type[SegmentationNetwork] = resolve_name(preset.network)
    return network


def missing_packages(preset: Preset) -> list[str]:
    """Return the optional packages that a preset's network needs and that are not installed."""
    return [package for package in preset.requires if find_spec(package) is None]


def require_packages(preset: Preset) -> None:
    """Raise if a preset's network cannot be built for want of an optional package.

    Raises:
        ModuleNotFoundError: names the packages, and the extra that installs them.
    """
    if missing := missing_packages(preset):
        verb = "is" if len(missing) == 1 else "are"
        raise ModuleNotFoundError(
            f"{preset.name} needs {' and '.join(missing)}, which {verb} not installed: "
            f"pip install 'nnunet-mamba[{preset.extra}]'",
            name=missing[0],
        )


def _networks_with(spatial_dims: int) -> list[str]:
    return [name for name in list_networks() if spatial_dims in PRESETS[name].spatial_dims]


def _suggest(wrong: str, valid: Iterable[str]) -> str:
    valid = list(valid)
    nearest = get_close_matches(wrong, valid, cutoff=0.4)
    hint = f"did you mean {' or '.join(map(repr, nearest))}? " if nearest else ""
    return f"{hint}Choose one of: {', '.join(valid)}"
