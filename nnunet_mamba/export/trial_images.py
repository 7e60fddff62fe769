"""Images to try a network with: like photographs, and random."""

from typing import Any

import numpy as np
import numpy.typing as npt

# Above 0: nnU-Net cuts off a margin of zeros.
_DARKEST, _BRIGHTEST = 1, 255
# Of an image's size: black margins above, below, left and right of what is seen. None is one pixel wider above than
# below, or left than right, see ``content``.
MARGINS = ((0.0, 0.0, 0.125, 0.25), (0.25, 0.0, 0.0, 0.13), (0.0, 0.0, 0.0, 0.0), (0.11, 0.25, 0.25, 0.0))


def like_photographs(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.uint8]:
    """Return images of a dark, blurred, irregular spot on a brighter ground with uneven light; in volumes, a cone.

    Args:
        shape: (b, c, h, w), or (b, c, d, h, w).
        seed: other images for another one.
    """
    random = np.random.default_rng(seed)
    *z, y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape[2:]), indexing="ij")
    narrower = z[0] / 4 if z else 0
    images = np.empty(shape)
    for image in images:
        centre, radius, phase = random.uniform(-0.3, 0.3, 2), random.uniform(0.3, 0.6), random.uniform(0, 6.3)
        angle = np.arctan2(y - centre[0], x - centre[1])
        edge = (radius - narrower) * (1 + 0.2 * np.sin(3 * angle + phase) + 0.1 * np.sin(7 * angle))
        spot = 1 / (1 + np.exp(12 * (np.hypot(y - centre[0], x - centre[1]) - edge)))
        light = 1 + 0.15 * (x * np.cos(phase) + y * np.sin(phase))
        for channel in image:
            bright, dark = random.uniform(140, 220), random.uniform(30, 110)
            channel[...] = light * (bright + (dark - bright) * spot) + 4 * np.sin(23 * x + 17 * y + phase)
    return _pixels(images)


def random_images(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.uint8]:
    """Return images of a shape whose pixels have nothing to do with each other."""
    return np.random.default_rng(seed).integers(_DARKEST, _BRIGHTEST + 1, shape, dtype=np.uint8)


def blacken(image: npt.NDArray[Any], margins: tuple[float, float, float, float]) -> None:
    """Make the margins of an image black, in place.

    Args:
        image: (c, h, w).
        margins: above, below, left and right, as a share of its size.
    """
    h, w = image.shape[1:]
    above, below, left, right = (int(share * size) for share, size in zip(margins, (h, h, w, w), strict=True))
    for black in (image[:, :above], image[:, h - below :], image[:, :, :left], image[:, :, w - right :]):
        black[...] = 0


def _pixels(images: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    pixels: npt.NDArray[np.uint8] = np.clip(np.rint(images), _DARKEST, _BRIGHTEST).astype(np.uint8)
    return pixels
