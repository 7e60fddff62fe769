"""Rectangles that hide a little of an image, as stickers, ruler marks and bubbles do."""

from typing import Any

import numpy as np
from batchgeneratorsv2.transforms.base.basic_transform import ImageOnlyTransform
from torch import Tensor

from nnunet_mamba.training.augmentation.choices import Holes


class HolesTransform(ImageOnlyTransform):
    """Fill rectangles with the colour of another place of the same image; batchgeneratorsv2's differ between channels.

    Args:
        holes: how many and how large; its probability is not looked at.
    """

    def __init__(self, holes: Holes) -> None:
        super().__init__()
        self.holes = holes

    def get_parameters(self, **data_dict: Any) -> dict[str, Any]:
        """Draw one image's rectangles, and the positions whose colours fill them."""
        shape = np.array(data_dict["image"].shape[1:])
        rectangles = []
        for _ in range(np.random.randint(1, self.holes.most + 1)):
            size = np.maximum(1, np.round(np.random.uniform(*self.holes.side, len(shape)) * shape)).astype(int)
            start = np.random.randint(0, shape - size + 1)
            rectangles.append((start, start + size, np.random.randint(0, shape)))
        return {"rectangles": rectangles}

    def _apply_to_image(self, img: Tensor, **params: Any) -> Tensor:
        """Return an image with its holes.

        Args:
            img: (c, *spatial); is changed.
            **params: of ``get_parameters``.
        """
        for start, end, position in params["rectangles"]:
            point = (slice(None), *(slice(place, place + 1) for place in position))
            inside = (slice(None), *(slice(*ends) for ends in zip(start, end, strict=True)))
            img[inside] = img[point].clone()
        return img
