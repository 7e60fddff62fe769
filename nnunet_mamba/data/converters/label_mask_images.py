"""Pictures, colour or grey, with masks of any labels as an nnU-Net data set of PNGs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.image_cases import ImageCaseConverter
from nnunet_mamba.data.formats import image_files
from nnunet_mamba.data.formats.image_files import ImageFileError
from nnunet_mamba.data.formats.label_values import ByteImage, LabelValues, UnknownValuesError, colour_codes, label_map
from nnunet_mamba.data.formats.whole_numbers import near_whole_numbers, shown_number, undefined_text
from nnunet_mamba.data.problems import Checked

# What a grey picture may have of colour: JPEG leaves a little.
LARGEST_COLOUR_SPREAD = 32
NUMBERS = ("F", "I")  # how Pillow calls 32 bits per pixel

MaskPixels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32] | npt.NDArray[np.int32]


def load_mask(path: Path) -> MaskPixels:
    """Read a mask as it looks: colours count, never palette indices.

    Args:
        path: any of IMAGE_ENDINGS; 1-bit, grey of 8 bits, palette, RGB, or a TIFF of 32-bit numbers.

    Returns:
        (y, x) grey levels, or (y, x, 3) RGB, as bytes; a 1-bit mask holds 0 and 255. A TIFF of 32-bit numbers, (y, x).

    Raises:
        ImageFileError: damaged, transparent, 16-bit, of another colour mode, turned by EXIF, or not finite.
    """
    with image_files.opened_image(path) as image:
        if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", *NUMBERS):
            raise ImageFileError(f"colour mode {image.mode}; save the mask with 8 bits, as grey levels or as RGB")
        orientation = image_files.orientation_of(image)
        if orientation > 1:
            raise ImageFileError(f"mask with EXIF orientation {orientation}; save it upright, without the entry")
        if image.mode in NUMBERS:
            numbers = np.asarray(image)
            if undefined := undefined_text(numbers, "pixels"):
                raise ImageFileError(undefined)
            return numbers
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
class LabelMaskImageConverter(ImageCaseConverter):
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
            label = (grey_levels(pixels) > self.threshold).astype(np.uint8)
        else:
            try:
                label = label_map(colour_codes(mask_bytes(pixels)), self.labels.in_colours(), colours=True)
            except UnknownValuesError as error:
                raise ImageFileError(str(error)) from error
        if not self.allow_empty_masks and (empty := self.labels.empty_text(label, "pixel")):
            raise ImageFileError(empty)
        return label

    def channel_of(self, picture: Image.Image) -> Image.Image:
        """Return the picture, or its grey levels where channels are grey."""
        return picture if self.is_colour else _grey_picture(picture)

    def foreground_share(self, label: ByteImage) -> float:
        """Return the share of pixels that are neither background nor to be ignored."""
        return self.labels.foreground_share(label)

    def border_share(self, label: ByteImage) -> float | None:
        """Return the share of pixels at the border that are foreground; None of several labels, which may fill it."""
        return super().border_share(label) if self.labels.is_binary else None

    def check(self, case: Case) -> Checked:
        """Look at a case's files, and count the pixels of its mask that nearly miss a whole number."""
        checked = super().check(case)
        # No other pictures hold numbers with a point.
        if case.label is None or checked.problems or case.label.suffix.lower() not in (".tif", ".tiff"):
            return checked
        _, n_rounded = near_whole_numbers(load_mask(case.label)) if self.threshold is None else (None, 0)
        return replace(checked, n_rounded=n_rounded)


def _grey_picture(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    if _colour_spread(pixels) > LARGEST_COLOUR_SPREAD:
        raise ImageFileError("a coloured picture among grey ones; name three channels, --channel-names R,G,B")
    return image.convert("L")


def mask_bytes(pixels: MaskPixels) -> ByteImage:
    """Return a mask as bytes.

    Args:
        pixels: of ``load_mask``.

    Raises:
        ImageFileError: numbers that are none of 0 to 255.
    """
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    whole, _ = near_whole_numbers(pixels)
    is_byte = (whole >= 0) & (whole <= 255) & (whole == np.rint(whole))
    if not is_byte.all():
        others = np.unique(pixels[~is_byte])
        shown = ", ".join(map(shown_number, others[:5])) + (", ..." if len(others) > 5 else "")
        raise ImageFileError(
            f"values such as {shown} in {np.count_nonzero(~is_byte)} pixels, expected whole numbers from 0 to 255; "
            "take the original mask, or draw the line with --threshold"
        )
    return whole.astype(np.uint8)


def grey_levels(pixels: MaskPixels) -> npt.NDArray[Any]:
    """Return the grey levels (y, x) of a mask that is to be thresholded.

    Args:
        pixels: of ``load_mask``.

    Raises:
        ImageFileError: it is coloured.
    """
    if pixels.ndim == 2:
        return pixels
    if _colour_spread(pixels) > LARGEST_COLOUR_SPREAD:
        raise ImageFileError("coloured mask, and --threshold needs grey levels; name its colours in --labels")
    return np.asarray(Image.fromarray(pixels.astype(np.uint8, copy=False)).convert("L"))


def _colour_spread(pixels: MaskPixels) -> int:
    return int((pixels.max(axis=2) - pixels.min(axis=2)).max())
