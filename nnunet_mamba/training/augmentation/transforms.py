"""From nnU-Net's own training transforms to those of an augmentation."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform, ImageOnlyTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.local.brightness_gradient import BrightnessGradientAdditiveTransform
from batchgeneratorsv2.transforms.nnunet.random_binary_operator import ApplyRandomBinaryOperatorTransform
from batchgeneratorsv2.transforms.nnunet.remove_connected_components import (
    RemoveRandomConnectedComponentFromOneHotEncodingTransform,
)
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.noise.sharpen import SharpeningTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.pseudo2d import Convert2DTo3DTransform
from batchgeneratorsv2.transforms.utils.random import OneOfTransform, RandomTransform

from nnunet_mamba.training.augmentation.choices import Augmentation, Light, Optics
from nnunet_mamba.training.augmentation.colour_transform import ColourTransform
from nnunet_mamba.training.augmentation.framing import ShareOfFrame, reframe
from nnunet_mamba.training.augmentation.holes_transform import HolesTransform
from nnunet_mamba.training.augmentation.stickers_transform import StickersTransform

# A cascade's second stage perturbs the first stage's segmentation, which travels as image channels.
_CASCADE = (ApplyRandomBinaryOperatorTransform, RemoveRandomConnectedComponentFromOneHotEncodingTransform)
_GEOMETRY = (SpatialTransform, Convert2DTo3DTransform)


def augment(transforms: ComposeTransforms, augmentation: Augmentation) -> ComposeTransforms:
    """Return nnU-Net's own training transforms, without and with what an augmentation leaves out and adds.

    The rotation angles, the mirror axes and all handling of labels (regions, ignore label, cascade) stay nnU-Net's.

    Args:
        transforms: what ``nnUNetTrainer.get_training_transforms`` returns; its ``SpatialTransform`` is changed.
        augmentation: says what.
    """
    kept = [t for t in transforms.transforms if augmentation.intensities or not _changes_intensities(t)]
    if augmentation.framing is not None:
        for transform in kept:
            if isinstance(transform, SpatialTransform):
                reframe(transform, augmentation.framing)
    # After the geometry, so that light falls on the frame; before nnU-Net's noise, and before a cascade's channels.
    place = max((place for place, transform in enumerate(kept, 1) if isinstance(transform, _GEOMETRY)), default=0)
    return ComposeTransforms([*kept[:place], *_added(augmentation), *kept[place:]])


def _changes_intensities(transform: object) -> bool:
    if not isinstance(transform, RandomTransform):
        return False
    return isinstance(transform.transform, ImageOnlyTransform) and not isinstance(transform.transform, _CASCADE)


def _added(augmentation: Augmentation) -> Iterator[BasicTransform]:
    """Yield what nnU-Net does not have, in the order in which an image comes to be: scene, light, camera."""
    if (stickers := augmentation.stickers) is not None:
        yield RandomTransform(StickersTransform(stickers), stickers.probability)
    if (holes := augmentation.holes) is not None:
        yield RandomTransform(HolesTransform(holes), holes.probability)
    if (light := augmentation.light) is not None:
        yield RandomTransform(_light_transform(light), light.probability)
    if (colour := augmentation.colour) is not None:
        yield RandomTransform(ColourTransform(colour), colour.probability)
    if (optics := augmentation.optics) is not None:
        yield RandomTransform(_focus_transform(optics), optics.p_focus)
        noise = GaussianNoiseTransform(noise_variance=(0, optics.noise), synchronize_channels=True)
        yield RandomTransform(noise, optics.p_noise)


@dataclass(frozen=True)
class BlurWithinAxis:
    """Draws the standard deviation of a blur, in pixels, for ``GaussianBlurTransform``.

    Args:
        sigmas: smallest and largest; a short axis, such as that of few slices, gets less.
    """

    sigmas: tuple[float, float]

    def __call__(self, length: int) -> float:
        """Return one for an axis of this many pixels: the blur mirrors three of them at each end, less than all."""
        return float(np.clip(np.random.uniform(*self.sigmas), 1e-3, max(1e-3, (length - 1.5) / 3)))


def _light_transform(light: Light) -> BasicTransform:
    return BrightnessGradientAdditiveTransform(
        scale=ShareOfFrame(light.width),
        loc=light.place,
        max_strength=(-light.strength, light.strength),
        same_for_all_channels=True,
        mean_centered=False,
    )


def _focus_transform(optics: Optics) -> BasicTransform:
    # One lens makes all channels, so all get the same.
    blur = GaussianBlurTransform(BlurWithinAxis(optics.blur), synchronize_channels=True, synchronize_axes=False)
    return OneOfTransform([blur, SharpeningTransform(optics.sharpening, p_same_for_each_channel=1)])
