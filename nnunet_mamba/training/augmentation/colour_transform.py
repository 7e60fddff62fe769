"""Other colours, as linear maps of standardised channels.

Images come from nnU-Net with every channel z-scored, z = (v - mean) / std. What a camera's white balance does to raw
values, a gain for each channel, is gone then, and so is exposure. What is left of colour is how the channels differ
from place to place: the grey axis (1, 1, 1) is what all three share, and a colour is a direction away from it. So

    z' = G R M (z - m) + m + o,    M = P + s (cos(h) (I - P) + sin(h) K)

with m the channels' means, P the projection on the grey axis, s the saturation and h the hue: M scales colours and
turns them about that axis (K is the cross product with it), and leaves grey alone. R gives each channel its own
standard deviation back, as nnU-Net's normalisation would after a camera had done this. G and o, gain and offset of each
channel, then stand for another frame: mean and std depend on how much of the image is lesion.
"""

import math
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import ImageOnlyTransform
from torch import Tensor

from nnunet_mamba.training.augmentation.choices import Colour

_GREY = torch.full((3, 3), 1 / 3)
_CROSS = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
_SMALLEST_STD = 1e-6


class ColourTransform(ImageOnlyTransform):
    """Change saturation, hue, and each channel's gain and offset; images of other than three channels pass.

    Args:
        colour: the strengths; its probability is not looked at.
    """

    def __init__(self, colour: Colour) -> None:
        super().__init__()
        self.colour = colour

    def get_parameters(self, **data_dict: Any) -> dict[str, Any]:
        """Draw one image's change."""
        colour = self.colour
        widest = math.log(colour.gain)
        return {
            "mixing": mixing(np.random.uniform(*colour.saturation), np.random.uniform(-colour.hue, colour.hue)),
            "gain": torch.from_numpy(np.exp(np.random.uniform(-widest, widest, 3))).float(),
            "offset": torch.from_numpy(np.random.uniform(-colour.offset, colour.offset, 3)).float(),
        }

    def _apply_to_image(self, img: Tensor, **params: Any) -> Tensor:
        """Return an image in other colours.

        Args:
            img: (3, *spatial), standardised; others are returned as they are.
            **params: of ``get_parameters``.
        """
        if img.shape[0] != len(_GREY):
            return img
        values = img.flatten(1)
        mean = values.mean(1, keepdim=True)
        centred = values - mean
        covariance = centred @ centred.T / values.shape[1]
        mixed = params["mixing"] @ covariance @ params["mixing"].T
        std, std_of_mixed = (matrix.diagonal().clamp(min=0).sqrt() for matrix in (covariance, mixed))
        gain = params["gain"] * std / std_of_mixed.clamp(min=_SMALLEST_STD)
        shift = mean + params["offset"][:, None]
        return torch.addmm(shift, gain[:, None] * params["mixing"], centred).view(img.shape)


def mixing(saturation: float, hue: float) -> Tensor:
    """Return the matrix that scales colours and turns them about the grey axis, (3, 3).

    Args:
        saturation: factor; 0 leaves grey alone, 1 changes nothing.
        hue: radians.
    """
    colours = torch.eye(3) - _GREY
    return _GREY + saturation * (math.cos(hue) * colours + math.sin(hue) * _CROSS)
