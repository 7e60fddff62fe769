"""What nnU-Net's plans and a trainer's name decide about a network."""

from collections.abc import Mapping
from typing import Any

from nnunet_mamba.networks.catalogue import network_class
from nnunet_mamba.presets import Preset

# Plans for residual encoders have another name for it.
_OTHER_NAMES = {"n_blocks_per_stage": "n_conv_per_stage"}


def plan_arguments(preset: Preset, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of the preset's network that a configuration decides.

    Args:
        preset: its ``from_plans`` and ``from_plans_in_3d`` name the arguments, its network knows their values.
        configuration: of nnU-Net's plans, with all that it inherits and as many axes as one of the preset's sizes.
    """
    patch_size = tuple(int(size) for size in configuration["patch_size"])
    dims = len(patch_size)
    stages = {
        _OTHER_NAMES.get(name, name): value for name, value in configuration["architecture"]["arch_kwargs"].items()
    }
    planned = network_class(preset).planned_arguments(
        preset.planned(dims), {**stages, "input_size": patch_size}, published=preset.size(dims).arguments
    )
    return planned if dims == 2 else {**planned, "spatial_dims": dims}


def trained_arguments(preset: Preset, configuration: Mapping[str, Any], variant: str | None) -> dict[str, Any]:
    """Return the keyword arguments with which a trainer builds the preset's network: the plans' and the variant's.

    Args:
        preset: the network.
        configuration: as in ``plan_arguments``.
        variant: of the trainer's name, None without one.
    """
    return {**plan_arguments(preset, configuration), **preset.overrides(variant)}
