"""Pictures, colour or grey, with masks of any labels as an nnU-Net data set of PNGs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nnunet_mamba.data import image_files
from nnunet_mamba.data.image_files import ImageFileError
from nnunet_mamba.data.label_values import ByteImage, LabelValues, UnknownValuesError, colour_codes, label_map
from nnunet_mamba.data.picture_cases import PictureCaseConverter

# What a grey picture may have of colour: JPEG leaves a little.
LARGEST_COLOUR_SPREAD = 32


def load_mask(path: Path) -> ByteImage:
    """Read a mask of 8 bits as it looks: colours count, never palette indices.

    Args:
        path: any of IMAGE_ENDINGS; 1-bit, grey, palette or RGB.

    Returns:
        (y, x) grey levels, or (y, x, 3) RGB; a 1-bit mask holds 0 and 255.

    Raises:
        ImageFileError: damaged, transparent, 16-bit, of another colour mode, or turned by EXIF.
    """
    with image_files.opened_image(path) as image:
        if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
            raise ImageFileError(f"colour mode {image.mode}; save the mask with 8 bits, as grey levels or as RGB")
        orientation = image_files.orientation_of(image)
        if orientation > 1:
            raise ImageFileError(f"mask with EXIF orientation {orientation}; save it upright, without the entry")
        opaque = image_files.without_alpha(image)
        return np.asarray(opaque if opaque.mode in ("RGB", "L") else opaque.convert("L"))


def is_colour_file(path: Path) -> bool:
    """Return whether a picture is stored in colour, whatever its colours are.

    Args:
        path: any of IMAGE_ENDINGS.

    Raises:
        ImageFileError: damaged.
    """
    with image_files.opened_image(path) as image:
        return image.mode not in ("1", "L", "LA")


@dataclass(frozen=True, kw_only=True)
class PictureConverter(PictureCaseConverter):
    """Check, read and write one picture, in colour or as grey channels, with a mask of any labels.

    Args:
        size: (y, x) to resize to; None keeps the size.
        allow_empty_masks: accept masks without foreground.
        labels: what the values of masks mean.
        threshold: instead, foreground is what is brighter; ``labels`` then has background and one label more.
        is_colour: a case is one RGB picture; otherwise it is one grey picture for each channel.
    """

    labels: LabelValues
    threshold: float | None = None
    is_colour: bool = True

    def label_of(self, path: Path) -> ByteImage:
        """Return the labels that the mask's colours or grey levels mean."""
        pixels = load_mask(path)
        if self.threshold is not None:
            label = (_grey_levels(pixels) > self.threshold).astype(np.uint8)
        else:
            try:
                label = label_map(colour_codes(pixels), self.labels.in_colours(), colours=True)
            except UnknownValuesError as error:
                raise ImageFileError(str(error)) from error
        if not label.any() and not self.allow_empty_masks:
            raise ImageFileError("empty mask: every pixel is background; if that is meant, use --allow-empty-masks")
        return label

    def channel_of(self, picture: Image.Image) -> Image.Image:
        """Return the picture, or its grey levels where channels are grey."""
        return picture if self.is_colour else _grey_picture(picture)

    def foreground_share(self, label: ByteImage) -> float:
        """Return the share of pixels that are neither background nor to be ignored."""
        return self.labels.foreground_share(label)


def _grey_picture(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    if _colour_spread(pixels) > LARGEST_COLOUR_SPREAD:
        raise ImageFileError("a coloured picture among grey ones; name three channels, --channel-names R,G,B")
    return image.convert("L")


def _grey_levels(pixels: ByteImage) -> ByteImage:
    """Return the grey levels (y, x) of a mask that is to be thresholded."""
    if pixels.ndim == 2:
        return pixels
    if _colour_spread(pixels) > LARGEST_COLOUR_SPREAD:
        raise ImageFileError("coloured mask, and --threshold needs grey levels; name its colours in --labels")
    return np.asarray(Image.fromarray(pixels).convert("L"))


def _colour_spread(pixels: ByteImage) -> int:
    return int((pixels.max(axis=2) - pixels.min(axis=2)).max())
