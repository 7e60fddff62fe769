"""What nnU-Net's plans decide about a network."""

from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager

from nnunet_mamba.presets import Preset

# nnU-Net does not pool an axis below this many positions either.
SMALLEST_POOLED = 4


def plan_arguments(preset: Preset, configuration_manager: ConfigurationManager) -> dict[str, Any]:
    """Return the keyword arguments of the preset's network that a configuration decides.

    Args:
        preset: its ``from_plans`` and ``from_plans_in_3d`` name the arguments.
        configuration_manager: of a configuration with as many axes as one of the preset's sizes.
    """
    patch_size = [int(size) for size in configuration_manager.patch_size]
    spatial_dims = len(patch_size)
    plan = configuration_manager.network_arch_init_kwargs
    arguments = {name: _planned(plan, name, patch_size) for name in preset.from_plans}
    if spatial_dims != 2:
        arguments["spatial_dims"] = spatial_dims
        if "strides" in preset.from_plans_in_3d:
            n_poolings = len(preset.size(spatial_dims).arguments["channels"]) - 1
            arguments["strides"] = pooling_of_plan(plan["strides"], patch_size, n_poolings=n_poolings)
    return arguments


def _planned(plan: Mapping[str, Any], name: str, patch_size: Sequence[int]) -> Any:
    if name == "input_size":
        return tuple(patch_size)
    # Plans for residual encoders call it by another name.
    return plan[name] if name in plan else plan[name.replace("n_conv", "n_blocks")]


def pooling_of_plan(
    strides: Sequence[Sequence[int]], patch_size: Sequence[int], *, n_poolings: int
) -> tuple[tuple[int, ...], ...]:
    """Return how a network of fixed depth pools volumes that nnU-Net planned for a depth of its own.

    The plan's strides come first, because they spare thin axes; a deeper network goes on halving the axes that stay
    long enough.

    Args:
        strides: of the plan's stages, the first of which does not pool.
        patch_size: voxels per axis.
        n_poolings: of the network.
    """
    poolings = [tuple(int(factor) for factor in stride) for stride in strides[1 : n_poolings + 1]]
    sizes = list(patch_size)
    for pooling in poolings:
        sizes = [size // factor for size, factor in zip(sizes, pooling, strict=True)]
    while len(poolings) < n_poolings:
        pooling = tuple(2 if size >= 2 * SMALLEST_POOLED else 1 for size in sizes)
        sizes = [size // factor for size, factor in zip(sizes, pooling, strict=True)]
        poolings.append(pooling)
    return tuple(poolings)
