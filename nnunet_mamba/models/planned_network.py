"""Which network a trained model has, as its trainer's name and nnU-Net's plans say, and how it is built again."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nnunet_mamba.models.description import NetworkDescription
from nnunet_mamba.networks.catalogue import create_network
from nnunet_mamba.networks.plan_arguments import trained_arguments
from nnunet_mamba.presets import PRESETS, Preset
from nnunet_mamba.presets.trainer_names import preset_of_file
from nnunet_mamba.trainer_name import TrainerName

if TYPE_CHECKING:
    from torch import Tensor

    from nnunet_mamba.networks.segmentation_network import SegmentationNetwork

_SHOWN = 3


def preset_of_trainer(trainer: str) -> Preset | None:
    """Return the network of a trainer, None for one that is not of nnunet-mamba.

    Args:
        trainer: its name, with or without suffixes.
    """
    parts = TrainerName.parse(trainer)
    return None if parts.unknown else preset_of_file(parts.base)


def network_title(trainer: str, preset: str) -> str:
    """Return what a paper calls a network, with the variant of it that is trained, such as "VM-UNet, depths2222".

    Args:
        trainer: its name, with or without suffixes.
        preset: the network's name.
    """
    found, variant = PRESETS[preset], TrainerName.parse(trainer).variant
    return f"{found.title}, {variant}" if found.overrides(variant) else found.title


def planned_network(
    trainer: str, planned: Mapping[str, Any], *, input_channels: int, num_classes: int
) -> NetworkDescription | None:
    """Return the network that a trainer builds, None for a trainer that is not of nnunet-mamba.

    Args:
        trainer: its name, as given to ``-tr``.
        planned: the entries of the configuration, with all that it inherits.
        input_channels: of the images.
        num_classes: of the data set.

    Raises:
        ValueError: the network has no size for as many axes, or the plans do not tell what it needs.
    """
    preset = preset_of_trainer(trainer)
    if preset is None:
        return None
    dims = len(planned["patch_size"])
    if dims not in preset.spatial_dims:
        raise ValueError(f"{trainer} has no network for {dims}D patches, and the plans have {planned['patch_size']}")
    parts = TrainerName.parse(trainer)
    stages = (planned.get("architecture") or {}).get("arch_kwargs", {})
    try:
        decided = trained_arguments(preset, {**planned, "architecture": {"arch_kwargs": stages}}, parts.variant)
    except KeyError as error:
        raise ValueError(f"the architecture has no {error}, which decides the network of {trainer}") from error
    arguments = {**preset.size(dims).arguments, **decided}
    arguments.pop("spatial_dims", None)
    if preset.deep_supervision or parts.deep:
        # The checkpoint has the weights of all heads.
        arguments["deep_supervision"] = True
    return NetworkDescription(
        preset=preset.name,
        arguments={name: as_tuples(value) for name, value in arguments.items()},
        input_channels=input_channels,
        num_classes=num_classes,
        spatial_dims=dims,
    )


def as_tuples(value: Any) -> Any:
    """Return a value of JSON with tuples in the place of lists."""
    return tuple(map(as_tuples, value)) if isinstance(value, list | tuple) else value


def build_network(
    described: NetworkDescription, weights: "Mapping[str, Tensor]", *, place: str
) -> "SegmentationNetwork":
    """Return a network with these weights, for prediction: one output, in evaluation mode.

    Args:
        described: the network.
        weights: all of its state.
        place: what to call the weights.

    Raises:
        ValueError: the network cannot be built so, or the weights do not fit it.
        ModuleNotFoundError: it needs an optional package that is not installed.
    """
    if not _has_published_size(described):
        import torch

        # Sizes from a stranger's file cost no memory before they are known to be those of the weights. All others need
        # no such trial, whose first takes a second of imports.
        with torch.device("meta"):
            _refuse_misfit(_create(described, place), weights, place)
    network = _create(described, place)
    _refuse_misfit(network, weights, place)
    network.load_state_dict(weights)
    if network.offers_deep_supervision():
        network.deep_supervision = False
    return network.eval()


def _has_published_size(described: NetworkDescription) -> bool:
    published = PRESETS[described.preset].size(described.spatial_dims).arguments
    others = {name for name, value in described.arguments.items() if as_tuples(published.get(name)) != value}
    return others <= {"deep_supervision"}


def _create(described: NetworkDescription, place: str) -> "SegmentationNetwork":
    try:
        return create_network(
            described.preset,
            described.input_channels,
            described.num_classes,
            **described.arguments,
            spatial_dims=described.spatial_dims,
        )
    # What constructors raise for arguments that they do not know, or that make no sense.
    except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError) as error:
        raise ValueError(
            f"{place}: {described.preset} cannot be built with the arguments that the model names ({error}); get the "
            "model again"
        ) from error


def other_kinds(weights: "Mapping[str, Tensor]", state: "Mapping[str, Tensor]") -> list[str]:
    """Return in words the weights of another kind of numbers than a network's own, such as whole ones for real ones.

    torch would convert them in silence. More or fewer bits of one kind are no other kind.

    Args:
        weights: by their names.
        state: of the network.
    """
    return [
        f"{name} {value.dtype}, the network has {state[name].dtype}"
        for name, value in weights.items()
        if name in state and _kind(value) != _kind(state[name])
    ]


def _kind(value: "Tensor") -> str:
    if value.is_complex():
        return "complex"
    if value.is_floating_point():
        return "real"
    # By its name, because torch is not loaded for what only describes networks.
    return "truth" if str(value.dtype) == "torch.bool" else "whole"


def _refuse_misfit(network: "SegmentationNetwork", weights: "Mapping[str, Tensor]", place: str) -> None:
    state = network.state_dict()
    findings = [
        ("lacks", [name for name in state if name not in weights]),
        ("has what the network does not,", [name for name in weights if name not in state]),
        (
            "has another shape of",
            [
                f"{name} {tuple(weights[name].shape)}, the network has {tuple(state[name].shape)}"
                for name in state
                if name in weights and weights[name].shape != state[name].shape
            ],
        ),
        ("has another kind of numbers in", other_kinds(weights, state)),
    ]
    told = [f"{what} {_listed(names)}" for what, names in findings if names]
    if told:
        raise ValueError(
            f"{place} is not of this network, {type(network).__name__}: it {'; it '.join(told)}; get the model again"
        )


def _listed(names: Sequence[str]) -> str:
    others = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {others} more" if others > 0 else "")
