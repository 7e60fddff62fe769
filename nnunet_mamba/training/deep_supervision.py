"""What nnU-Net must know of a network whose outputs differ from the plan's, or are not all wanted."""

from collections.abc import Sequence

from torch import nn

from nnunet_mamba.networks.padding import reduced_size
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork
from nnunet_mamba.networks.wrappers import bare_network


def deep_supervision_scales(network: nn.Module, patch_size: Sequence[int]) -> list[list[float]]:
    """Return the factors by which nnU-Net multiplies the patch size to get the sizes of the labels.

    Args:
        network: one of ours with a head at every resolution, wrapped or not.
        patch_size: positions per axis.

    Returns:
        For every output, the highest resolution first, one factor per axis. If the patch size is no multiple of the
        pooling, the factors hold for this patch size only.
    """
    sizes = [reduced_size(patch_size, reduction) for reduction in _unwrapped(network).output_reductions]
    return [[of_output / length for of_output, length in zip(size, patch_size, strict=True)] for size in sizes]


def switch_deep_supervision(network: nn.Module, *, enabled: bool) -> None:
    """Let a network return the logits of all its heads, or of the highest resolution only.

    Args:
        network: one of ours, wrapped or not.
        enabled: whether the logits of all heads.

    Raises:
        ValueError: all heads are asked for, and the network has a single one.
    """
    _unwrapped(network).deep_supervision = enabled


def freeze_heads_without_logits(network: nn.Module) -> None:
    """Freeze the heads of all resolutions but the highest, for a training with that one output.

    Distributed training waits for a gradient of every parameter that is not frozen, and these get none.

    Args:
        network: wrapped or not. One with a single head stays as it is.
    """
    for head in _unwrapped(network).heads[1:]:
        head.requires_grad_(False)


def _unwrapped(network: nn.Module) -> SegmentationNetwork:
    unwrapped = bare_network(network)
    assert isinstance(unwrapped, SegmentationNetwork)
    return unwrapped
