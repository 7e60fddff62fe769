"""A large thing of another colour that reaches into the frame, as a sticker, a dressing or a glove does."""

from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import ImageOnlyTransform
from torch import Tensor

from nnunet_mamba.training.augmentation.choices import Stickers


class StickersTransform(ImageOnlyTransform):
    """Lay a disc of one colour over the edge of an image, behind what is labelled, and standardise the image again.

    Nothing labelled is hidden: no outline changes. A photograph with a sticker is standardised with it, which leaves
    skin and lesion less contrast than without; so is this one.

    Args:
        stickers: how large and how coloured; its probability is not looked at.
    """

    def __init__(self, stickers: Stickers) -> None:
        super().__init__()
        self.stickers = stickers

    def get_parameters(self, **data_dict: Any) -> dict[str, Any]:
        """Draw one image's disc: where it is, as a mask of the frame, and its colour in standard deviations."""
        image = data_dict["image"]
        n_axes = image.ndim - 1
        direction = np.random.normal(size=n_axes)
        direction /= np.linalg.norm(direction)
        # In shares of the frame; (0, …, 0) is its centre.
        to_the_edge = 0.5 / np.abs(direction).max()
        reach, radius = np.random.uniform(*self.stickers.reach), np.random.uniform(*self.stickers.radius)
        centre = direction * (to_the_edge + radius - reach)
        squares = torch.zeros(image.shape[1:])
        for axis, (length, place) in enumerate(zip(image.shape[1:], centre, strict=True)):
            along = (torch.linspace(-0.5, 0.5, length) - float(place)).square()
            squares += along.view([-1 if one == axis else 1 for one in range(n_axes)])
        label = data_dict.get("segmentation")
        is_covered = squares < radius**2
        if label is not None:
            is_covered &= ~(label > 0).any(dim=0)
        colour = np.random.uniform(-self.stickers.colour, self.stickers.colour, image.shape[0])
        return {"is_covered": is_covered, "colour": torch.as_tensor(colour, dtype=image.dtype)}

    def _apply_to_image(self, img: Tensor, **params: Any) -> Tensor:
        """Return an image with its sticker.

        Args:
            img: (c, *spatial).
            **params: of ``get_parameters``.
        """
        is_covered: Tensor = params["is_covered"]
        if not bool(is_covered.any()):
            return img
        spatial = tuple(range(1, img.ndim))
        mean, deviation = img.mean(dim=spatial, keepdim=True), img.std(dim=spatial, keepdim=True)
        colour = mean + deviation * params["colour"].view(-1, *(1 for _ in spatial))
        covered = torch.where(is_covered, colour, img)
        new_mean, new_deviation = covered.mean(dim=spatial, keepdim=True), covered.std(dim=spatial, keepdim=True)
        return (covered - new_mean) / new_deviation.clamp_min(1e-8) * deviation + mean
