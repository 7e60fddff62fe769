"""Read photographs and black-and-white masks, and refuse what has more than one meaning."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from nnunet_mamba.data.formats.declared_sizes import size_problem

# A photograph decoded at twice the target or more, then resized, differs from its full decoding by 2 of 255 at most.
DRAFT_MARGIN = 2
MASK_THRESHOLD = 127  # of 0..255: resized masks are grey at their borders

Shape: TypeAlias = tuple[int, int]
ByteImage: TypeAlias = npt.NDArray[np.uint8]

# Formats that hold programs: decoding runs them, whatever the file's name.
_PROGRAMS = ("EPS", "WMF")
_EXIF_ORIENTATION = 0x0112
# All that Pillow's decoders raise on damaged files, apart from OSError; they have no common class.
_DECODER_ERRORS = (
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
)


class ImageFileError(ValueError):
    """An image file is damaged, or its pixels have no certain meaning; the text does not name the file."""


@contextmanager
def opened_image(path: Path) -> Iterator[Image.Image]:
    """Open an image and report whatever goes wrong in the block as ImageFileError."""
    try:
        if path.stat().st_size == 0:
            raise ImageFileError("the file is empty (0 bytes); copy or download it again")
        with _without_warnings(), Image.open(path) as image:
            if image.format == "PNG":
                # Decoding alone does not look at PNG's checksums.
                image.verify()
        with _without_warnings(), Image.open(path) as image:
            if image.format in _PROGRAMS:
                raise ImageFileError(f"a drawing ({image.format}), which only a program can show; save it as PNG")
            n_pictures = getattr(image, "n_frames", 1)
            # In an MPO of a telephone, the photograph comes first, then a preview or a depth map.
            if n_pictures > 1 and image.format != "MPO":
                raise ImageFileError(f"the file holds {n_pictures} pictures; save the one that is meant")
            if any(";16" in mode for mode in (image.mode, *_stored_modes(image))):
                raise ImageFileError(f"16 bits per channel (mode {image.mode}); save it with 8 bits per channel")
            _refuse_scaled_levels(image)
            if problem := size_problem(image.width * image.height * len(image.getbands())):
                raise ImageFileError(problem)
            yield image
    except ImageFileError:
        raise
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise ImageFileError(f"more than {most:.0f} million pixels, by its header; save it smaller") from error
    except MemoryError as error:
        raise ImageFileError("larger than the memory that is left; convert it on a larger machine") from error
    except UnidentifiedImageError as error:
        raise ImageFileError("not an image, or its start is damaged; copy or download it again") from error
    except (OSError, *_DECODER_ERRORS) as error:
        raise ImageFileError(f"unreadable: {error}; copy or download it again") from error


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence warnings about what is refused where it matters, such as EXIF data of a truncated file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _refuse_scaled_levels(image: Image.Image) -> None:
    """Raise for PGM and PPM whose brightest level is not 255: decoders stretch it, each file by another factor."""
    if image.format != "PPM":
        return
    for tile in getattr(image, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple) else ()
        if len(arguments) == 2 and isinstance(arguments[1], int) and arguments[1] != 255:
            raise ImageFileError(f"grey levels up to {arguments[1]}, expected up to 255; save it as PNG of 8 bits")


def _stored_modes(image: Image.Image) -> list[str]:
    """Return the pixel formats in the file; for 16-bit colour they differ from the mode, which is 8-bit."""
    arguments = [tile[3] for tile in getattr(image, "tile", ())]
    return [str(args[0] if isinstance(args, tuple) and args else args) for args in arguments]


def is_deep(path: Path) -> bool:
    """Return whether a picture holds more than 8 bits per channel, by its header.

    Args:
        path: any of PICTURE_ENDINGS.

    Raises:
        ImageFileError: no image, or more pixels than fit into memory.
    """
    try:
        if path.exists() and not path.is_file():
            raise ImageFileError("no file, but a pipe or a device; expected an image")
        with _without_warnings(), Image.open(path) as image:
            # Numbers of 32 bits at most.
            if problem := size_problem(4 * image.width * image.height * len(image.getbands())):
                raise ImageFileError(problem)
            modes = (image.mode, *_stored_modes(image))
            return image.mode in ("I", "F") or any(";16" in mode for mode in modes)
    except Image.DecompressionBombError as error:
        raise ImageFileError(f"too many pixels, by its header: {error}") from error
    except (OSError, *_DECODER_ERRORS) as error:
        if isinstance(error, ImageFileError):
            raise
        raise ImageFileError(f"unreadable: {error}; copy or download it again") from error


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) if there is none that counts."""
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except (OSError, *_DECODER_ERRORS):
        # Damaged metadata say nothing, and the pixels may be whole.
        return 1
    return orientation if isinstance(orientation, int) and 2 <= orientation <= 8 else 1


def without_alpha(image: Image.Image) -> Image.Image:
    """Drop an alpha channel that says nothing; palette images get their colours."""
    has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    if not has_alpha:
        return image.convert("RGB") if image.mode == "P" else image
    image = image.convert("RGBA")
    lowest = image.getchannel("A").getextrema()[0]
    if lowest != 255:
        raise ImageFileError(f"transparent pixels (alpha down to {lowest}); save it without transparency")
    return image.convert("RGB")


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """A decoded photograph.

    Args:
        picture: 8-bit RGB, upright; smaller than ``shape`` where a JPEG was decoded at a part of its size.
        shape: (y, x), its full size, upright.
        orientation: the EXIF orientation that it was turned from, 1 if it was not turned.
        is_grey: whether the file has grey levels and no colours.
    """

    picture: Image.Image
    shape: Shape
    orientation: int
    is_grey: bool


def load_photograph(
    path: Path, *, label_shape: Shape | None = None, target: Shape | None = None, quick: bool = False
) -> tuple[Image.Image, Shape]:
    """Return the RGB image of ``decode_photograph`` and its full size (y, x); arguments and errors are the same."""
    decoded = decode_photograph(path, label_shape=label_shape, target=target, quick=quick)
    return decoded.picture, decoded.shape


def decode_photograph(
    path: Path, *, label_shape: Shape | None = None, target: Shape | None = None, quick: bool = False
) -> Photograph:
    """Decode a photograph as 8-bit RGB, turned as its EXIF orientation says.

    The size of the mask, if there is one, tells whether it was drawn on the upright picture or on the stored pixels.
    It cannot tell for half turns, mirror images and squares, so those are refused.

    Args:
        path: any of PICTURE_ENDINGS.
        label_shape: (y, x) of the mask, if there is one.
        target: (y, x) that it will be resized to; a JPEG may then be decoded at a half, a quarter or an eighth, as
            long as that leaves twice the target. None decodes it at full size.
        quick: decode a JPEG at up to an eighth of its size, to find damage; every byte of it is still read.

    Returns:
        The photograph; its full size does not depend on ``target`` and ``quick``.

    Raises:
        ImageFileError: damaged, blank, transparent, 16-bit, 1-bit, CMYK or ambiguous in orientation.
    """
    with opened_image(path) as image:
        if image.mode == "1":
            raise ImageFileError("1 bit per pixel, as a mask has; expected a photograph")
        if image.mode not in ("RGB", "RGBA", "L", "LA", "P", "PA"):
            raise ImageFileError(f"colour mode {image.mode}; save it as 8-bit RGB")
        stored = (image.height, image.width)
        is_grey = image.mode in ("L", "LA")
        orientation = orientation_of(image)
        if orientation > 1 and image.format == "TIFF":
            raise ImageFileError(f"TIFF with orientation {orientation}; save the image upright")
        turn = _must_turn(orientation, stored, label_shape)
        if quick:
            image.draft("RGB", (image.width // 8, image.height // 8))
        elif target is not None:
            rows, columns = target[::-1] if orientation >= 5 and turn else target
            image.draft("RGB", (DRAFT_MARGIN * columns, DRAFT_MARGIN * rows))
        opaque = without_alpha(image)
        # convert() copies even where it has nothing to convert.
        rgb = opaque if opaque.mode == "RGB" else opaque.convert("RGB")
        if all(low == high for low, high in (rgb.getchannel(name).getextrema() for name in "RGB")):
            raise ImageFileError("blank: every pixel has the same colour")
        if not turn:
            return Photograph(picture=rgb, shape=stored, orientation=1, is_grey=is_grey)
        # A conversion of the mode carries the EXIF data over, so the orientation is still known here.
        upright = ImageOps.exif_transpose(rgb)
        shape = stored[::-1] if orientation >= 5 else stored
        return Photograph(picture=upright, shape=shape, orientation=orientation, is_grey=is_grey)


def load_upright(path: Path) -> ByteImage:
    """Return a picture of any kind as people look at it, (y, x, 3), at full size; it may be blank.

    Args:
        path: any of PICTURE_ENDINGS.

    Raises:
        ImageFileError: damaged, transparent or 16-bit.
    """
    with opened_image(path) as image:
        return np.asarray(ImageOps.exif_transpose(without_alpha(image)).convert("RGB"))


def _must_turn(orientation: int, stored: Shape, label_shape: Shape | None) -> bool:
    if orientation == 1 or label_shape is None:
        return orientation > 1
    shown = stored[::-1] if orientation >= 5 else stored
    if shown == stored and label_shape == stored:
        raise ImageFileError(
            f"EXIF orientation {orientation}: the mask may belong to the turned or to the stored picture, "
            "its size fits both; save the image upright, without the EXIF entry"
        )
    return label_shape != stored


def load_binary_mask(path: Path, *, allow_empty: bool = False) -> ByteImage:
    """Read a black-and-white mask: 1 where it is brighter than MASK_THRESHOLD.

    Colours count, never palette indices: in some published masks index 0 is white.

    Args:
        path: any of PICTURE_ENDINGS; 1-bit, grey, palette or grey RGB.
        allow_empty: accept a mask that is black all over.

    Returns:
        (y, x), 0 background, 1 foreground. White all over is a mask like any other.

    Raises:
        ImageFileError: damaged, coloured, transparent, 16-bit, empty, or without any white.
    """
    with opened_image(path) as image:
        if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
            raise ImageFileError(f"colour mode {image.mode}; save the mask as 8-bit grey, black and white")
        if orientation_of(image) > 1:
            raise ImageFileError(
                f"mask with EXIF orientation {orientation_of(image)}; save it upright, without the entry"
            )
        opaque = without_alpha(image)
        if opaque.mode == "RGB":
            colours = np.asarray(opaque)
            spread = int((colours.max(axis=2) - colours.min(axis=2)).max())
            # JPEG leaves a little colour in grey pictures.
            if spread > 32:
                raise ImageFileError("coloured mask; expected black (background) and white (lesion)")
        values = np.asarray(opaque if opaque.mode == "L" else opaque.convert("L"))
    highest = int(values.max())
    if highest == 0 and not allow_empty:
        raise ImageFileError("empty mask: every pixel is black; if that is meant, use `allow_empty_masks=True`")
    if 0 < highest <= MASK_THRESHOLD:
        raise ImageFileError(
            f"no white in the mask: its brightest value is {highest}, expected 0 for background and 255 for lesion; "
            "multiply label numbers such as 0 and 1 by 255"
        )
    return (values > MASK_THRESHOLD).view(np.uint8)


def resized_image(image: Image.Image, shape: Shape | None) -> ByteImage:
    """Return the image as (y, x, 3), resized with bicubic interpolation and antialiasing.

    Args:
        image: RGB.
        shape: (y, x) to resize to; None keeps the size.
    """
    if shape is not None and shape != (image.height, image.width):
        image = image.resize(shape[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image)


def resized_mask(mask: ByteImage, shape: Shape | None) -> ByteImage:
    """Return a {0, 1} mask resized to the nearest pixel, so that no other value appears.

    Args:
        mask: (y, x).
        shape: (y, x) to resize to; None keeps the size.
    """
    if shape is None or shape == mask.shape:
        return mask
    return np.asarray(Image.fromarray(mask).resize(shape[::-1], Image.Resampling.NEAREST))


def write_png(path: Path, pixels: ByteImage) -> None:
    """Write (y, x) or (y, x, 3) bytes as PNG; equal pixels give equal bytes.

    Args:
        path: the file to create.
        pixels: uint8.
    """
    # After PNG's filters, a photograph repeats in runs only; searching for more takes four times as long.
    Image.fromarray(pixels).save(path, format="PNG", compress_type=Image.RLE)
