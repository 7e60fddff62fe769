"""Batches of images for a classification network: varied at random while it trains, normalised on its device."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from nnunet_mamba.classification.labelled_images import LabelledImages
from nnunet_mamba.classification.settings import ClassifierSettings
from nnunet_mamba.data.formats.image_files import ImageFileError

# Mean and deviation of ImageNet's colours, of 1.
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# A larger share of it would be noise.
_LEAST_DEVIATION = 1e-3
# Pixels in memory spare every epoch the decoding of files; more than this is left on the disk.
MOST_IN_MEMORY = 2**31


class ImageExamples(Dataset[tuple[Tensor, int]]):
    """Images of one size with the index of their class.

    Args:
        images: of any size.
        size: (h, w) that they get.
        transform: what varies an image, (3, h, w) of uint8; None leaves it.
    """

    def __init__(self, images: LabelledImages, size: tuple[int, int], transform: Any | None) -> None:
        self.images, self.size, self.transform = images, size, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        try:
            pixels = self.images.picture(index, self.size)
        except ImageFileError as error:
            raise ValueError(f"{self.images.pictures[index]}: {error}; replace or remove it") from error
        picture = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
        return picture if self.transform is None else self.transform(picture), int(self.images.labels[index])


def held_in_memory(images: LabelledImages, settings: ClassifierSettings, *, progress: bool) -> LabelledImages:
    """Return images that are read, if they need little memory; others are read once and stay on the disk.

    Raises:
        ValueError: some cannot be read.
    """
    height, width = settings.image_size
    if len(images) * height * width * 3 > MOST_IN_MEMORY:
        images.check_files(settings.image_size, progress=progress)
        return images
    return images.in_memory(settings.image_size, progress=progress)


def training_batches(
    images: LabelledImages, settings: ClassifierSettings, *, epoch: int
) -> DataLoader[tuple[Tensor, int]]:
    """Return an epoch's batches, which depend on nothing but the arguments and torch's random state.

    A last batch of one image is joined to none and left out, as long as there are others.
    """
    generator = torch.Generator().manual_seed(epoch_seed(settings.seed, epoch))
    return DataLoader(
        ImageExamples(images, settings.image_size, _variation(settings)),
        batch_size=settings.batch_size,
        shuffle=True,
        drop_last=len(images) % settings.batch_size == 1 and len(images) > 1,
        num_workers=settings.workers,
        generator=generator,
    )


def plain_batches(images: LabelledImages, settings: ClassifierSettings) -> DataLoader[tuple[Tensor, int]]:
    """Return batches of all images as they are, in their order."""
    examples = ImageExamples(images, settings.image_size, None)
    return DataLoader(examples, batch_size=settings.batch_size, num_workers=settings.workers)


def epoch_seed(seed: int, epoch: int) -> int:
    """Return a seed that differs wherever one of the numbers does."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


def normalised(images: Tensor, settings: ClassifierSettings) -> Tensor:
    """Return images (b, 3, h, w) of 0 to 255 as the network sees them, float32."""
    images = images.float() / 255
    if settings.normalisation == "image":
        deviation, mean = torch.std_mean(images, dim=(2, 3), keepdim=True, correction=0)
        return (images - mean) / deviation.clamp(min=_LEAST_DEVIATION)
    mean, deviation = (images.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    return (images - mean) / deviation


def _variation(settings: ClassifierSettings) -> Any | None:
    steps: list[Any] = []
    if settings.crop_padding:
        steps.append(v2.RandomCrop(settings.image_size, padding=settings.crop_padding))
    if settings.flip:
        steps.append(v2.RandomHorizontalFlip())
    if settings.rand_augment:
        steps.append(v2.RandAugment(num_ops=2, magnitude=9))
    return v2.Compose(steps) if steps else None
