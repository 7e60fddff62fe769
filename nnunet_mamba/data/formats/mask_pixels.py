"""Read masks of any labels as they look: grey levels, colours, or numbers of 32 bits."""

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from nnunet_mamba.data.formats import image_files
from nnunet_mamba.data.formats.image_files import ByteImage, ImageFileError
from nnunet_mamba.data.formats.whole_numbers import near_whole_numbers, shown_number, undefined_text

# What a grey picture may have of colour: JPEG leaves a little.
LARGEST_COLOUR_SPREAD = 32
NUMBERS = ("F", "I")  # Pillow's modes of 32 bits per pixel

MaskPixels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32] | npt.NDArray[np.int32]


def load_mask_pixels(path: Path) -> MaskPixels:
    """Read a mask as it looks: colours count, never palette indices.

    Args:
        path: any of PICTURE_ENDINGS; 1-bit, grey of 8 bits, palette, RGB, or a TIFF of 32-bit numbers.

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


def mask_bytes(pixels: MaskPixels) -> ByteImage:
    """Return a mask as bytes.

    Args:
        pixels: of ``load_mask_pixels``.

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
            "take the original mask, or draw the line with `threshold`"
        )
    return whole.astype(np.uint8)


def grey_levels(pixels: MaskPixels) -> npt.NDArray[Any]:
    """Return the grey levels (y, x) of a mask that is to be thresholded.

    Args:
        pixels: of ``load_mask_pixels``.

    Raises:
        ImageFileError: it is coloured.
    """
    if pixels.ndim == 2:
        return pixels
    if is_coloured(pixels):
        raise ImageFileError("coloured mask, and `threshold` needs grey levels; name its colours in `labels`")
    return np.asarray(Image.fromarray(pixels.astype(np.uint8, copy=False)).convert("L"))


def is_coloured(pixels: npt.NDArray[Any]) -> bool:
    """Return whether RGB pixels are more than grey.

    Args:
        pixels: (y, x, 3).
    """
    return int((pixels.max(axis=2) - pixels.min(axis=2)).max()) > LARGEST_COLOUR_SPREAD
