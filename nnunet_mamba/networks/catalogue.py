"""Networks by name."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal, overload

from nnunet_mamba.presets import CLASSIFIERS, PRESETS, ClassifierName, Preset

if TYPE_CHECKING:
    from torch import nn

    from nnunet_mamba.networks.segmentation_network import SegmentationNetwork


Task = Literal["segmentation", "classification"]
# Imported only when a network is built, as the classes of all networks are.
_CREATE_CLASSIFIER = "nnunet_mamba.networks.classifiers.catalogue:create_classifier"


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
        raise ValueError(f"unknown task {task!r}; {suggest(str(task), of_task)}")
    return sorted(of_task[task])


@overload
def create_network(name: ClassifierName, input_channels: int, num_classes: int, **overrides: Any) -> "nn.Module": ...


@overload
def create_network(name: str, input_channels: int, num_classes: int, **overrides: Any) -> "SegmentationNetwork": ...


def create_network(name: str, input_channels: int, num_classes: int, **overrides: Any) -> "nn.Module":
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
        create: Callable[..., nn.Module] = resolve_name(_CREATE_CLASSIFIER)
        return create(name, input_channels, num_classes, **overrides)
    if name not in PRESETS:
        raise ValueError(f"unknown network {name!r}; {suggest(name, [*list_networks(), *sorted(CLASSIFIERS)])}")
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
            raise TypeError(f"{name} takes no override {override!r}; {suggest(override, known)}")
    arguments = {**preset.size(spatial_dims).arguments, **overrides, "spatial_dims": spatial_dims}
    if "spatial_dims" not in known:
        del arguments["spatial_dims"]
    build: Callable[..., SegmentationNetwork] = network
    built = build(input_channels, num_classes, **arguments)
    built.check_heads()
    return built


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


def suggest(wrong: str, valid: Iterable[str]) -> str:
    """Return what may have been meant by a name that is unknown, and all that are known."""
    valid = list(valid)
    nearest = get_close_matches(wrong, valid, cutoff=0.4)
    hint = f"did you mean {' or '.join(map(repr, nearest))}? " if nearest else ""
    return f"{hint}Choose one of: {', '.join(valid)}"
