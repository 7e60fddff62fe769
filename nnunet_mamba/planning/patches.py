"""Which patch sizes a network and nnU-Net can take, and what the plans say of the stages for each of them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

from nnunet_mamba.networks.catalogue import create_network
from nnunet_mamba.networks.plan_arguments import trained_arguments
from nnunet_mamba.networks.planned_pooling import SMALLEST_POOLED
from nnunet_mamba.presets import Preset

Patch = tuple[int, ...]

# nnU-Net's planners stop doubling the channels there.
_MOST_FEATURES = {2: 512, 3: 320}
_NO_LIMIT_OF_POOLINGS = 999999


def network_divisor(preset: Preset, configuration: Mapping[str, Any], variant: str | None = None) -> Patch:
    """Return the numbers that the network pads each axis to a multiple of.

    Args:
        preset: the network.
        configuration: of the plans; it decides where the network takes its stages from them.
        variant: of the network, None for the preset itself.
    """
    arguments = trained_arguments(preset, configuration, variant)
    # Channels and classes do not matter here; on the device meta, weights take neither time nor memory.
    with torch.device("meta"):
        return create_network(preset.name, 1, 1, **arguments).size_multiple


def format_size(size: Sequence[int]) -> str:
    """Return the size of a patch or an image as people write it, "96×128"."""
    return "×".join(map(str, size))


def with_patch(configuration: Mapping[str, Any], patch_size: Patch) -> dict[str, Any]:
    """Return a configuration of the plans for another patch, its stages as nnU-Net's planners would set them.

    Args:
        configuration: whose first stages are kept; further ones, for a larger patch, repeat the last.
        patch_size: as ``nnunet_patch`` returns it, or another one for a network that pads.
    """
    changed = deepcopy(dict(configuration))
    if tuple(changed["patch_size"]) == patch_size:
        return changed
    changed["patch_size"] = list(patch_size)
    _, strides, kernel_sizes, _, _ = _pooling(changed["spacing"], patch_size)
    stages, n_stages = changed["architecture"]["arch_kwargs"], len(strides)
    features = list(stages["features_per_stage"])
    most = max(_MOST_FEATURES[len(patch_size)], features[-1])
    while len(features) < n_stages:
        features.append(min(2 * features[-1], most))
    stages["n_stages"] = n_stages
    stages["features_per_stage"] = features[:n_stages]
    stages["strides"] = [list(stride) for stride in strides]
    stages["kernel_sizes"] = [list(kernel) for kernel in kernel_sizes]
    for name in ("n_conv_per_stage", "n_blocks_per_stage", "n_conv_per_stage_decoder"):
        if name in stages:
            n = n_stages - 1 if name.endswith("decoder") else n_stages
            stages[name] = [*stages[name], *[stages[name][-1]] * n][:n]
    return changed


def nnunet_patch(configuration: Mapping[str, Any], patch_size: Patch) -> Patch:
    """Return the patch that nnU-Net makes of one: each axis padded until it can be pooled."""
    return tuple(int(size) for size in _pooling(configuration["spacing"], patch_size)[3])


def rounded_patch(configuration: Mapping[str, Any], divisor: Patch) -> Patch:
    """Return the configuration's patch without waste: pixels that the network would pad are taken from the image.

    An axis grows to a multiple of the divisor if the median image is that long.
    """
    patch = []
    for size, multiple, median in zip(configuration["patch_size"], divisor, _median(configuration), strict=True):
        padded = -(-size // multiple) * multiple
        patch.append(padded if padded <= median else size)
    return tuple(patch)


def smaller_patches(configuration: Mapping[str, Any], patch_size: Patch, divisor: Patch | None) -> Iterator[Patch]:
    """Yield ever smaller patches, as nnU-Net's planners try them.

    Each time the axis shrinks that is the longest beside the median image's.

    Args:
        configuration: of the plans.
        patch_size: to begin with, not among the results.
        divisor: of a network that does not take its stages from the plans.
    """
    spacing, median = configuration["spacing"], _median(configuration)
    while True:
        axis = _longest_axis(patch_size, median)
        shorter = list(patch_size)
        # A step by the divisor of the longer patch could jump over sizes that a shorter one can have.
        shorter[axis] -= _step(spacing, patch_size, axis)
        if shorter[axis] < 2 * SMALLEST_POOLED:
            return
        step = _step(spacing, shorter, axis)
        shorter[axis] = patch_size[axis] - step
        if divisor:
            shorter[axis] -= shorter[axis] % divisor[axis]
            if shorter[axis] == 0:
                return
        next_size = nnunet_patch(configuration, tuple(shorter))
        if math.prod(next_size) >= math.prod(patch_size):
            return
        patch_size = next_size
        yield patch_size


def _pooling(spacing: Sequence[float], patch_size: Sequence[int]) -> Any:
    return get_pool_and_conv_props(spacing, list(patch_size), SMALLEST_POOLED, _NO_LIMIT_OF_POOLINGS)


def _step(spacing: Sequence[float], patch_size: Sequence[int], axis: int) -> int:
    return int(_pooling(spacing, patch_size)[4][axis])


def _longest_axis(patch_size: Patch, median: Sequence[float]) -> int:
    """Return the axis that is the longest beside the median image's; among equals the last, as nnU-Net does."""
    return max(range(len(patch_size)), key=lambda axis: (patch_size[axis] / median[axis], axis))


def _median(configuration: Mapping[str, Any]) -> Sequence[float]:
    median: Sequence[float] = configuration["median_image_size_in_voxels"]
    return median
