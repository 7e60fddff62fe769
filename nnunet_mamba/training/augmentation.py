"""Flips and rotations, the whole augmentation of the skin papers."""

from batchgeneratorsv2.transforms.base.basic_transform import ImageOnlyTransform
from batchgeneratorsv2.transforms.nnunet.random_binary_operator import ApplyRandomBinaryOperatorTransform
from batchgeneratorsv2.transforms.nnunet.remove_connected_components import (
    RemoveRandomConnectedComponentFromOneHotEncodingTransform,
)
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import RandomTransform

# A cascade's second stage perturbs the first stage's segmentation, which travels as image channels.
_CASCADE = (ApplyRandomBinaryOperatorTransform, RemoveRandomConnectedComponentFromOneHotEncodingTransform)


def flips_and_rotations(transforms: ComposeTransforms, *, p_rotation: float) -> ComposeTransforms:
    """Keep those of nnU-Net's own training transforms that the papers use.

    The rotation angles, the mirror axes and all handling of labels (regions, ignore label, cascade) stay nnU-Net's;
    scaling and every change of the intensities go.

    Args:
        transforms: what ``nnUNetTrainer.get_training_transforms`` returns.
        p_rotation: probability that an image is rotated.
    """
    kept = [t for t in transforms.transforms if not _changes_intensities(t)]
    for transform in kept:
        if isinstance(transform, SpatialTransform):
            transform.p_scaling = 0
            transform.p_rotation = p_rotation
    return ComposeTransforms(kept)


def _changes_intensities(transform: object) -> bool:
    if not isinstance(transform, RandomTransform):
        return False
    return isinstance(transform.transform, ImageOnlyTransform) and not isinstance(transform.transform, _CASCADE)
