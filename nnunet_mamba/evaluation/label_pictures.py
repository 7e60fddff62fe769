"""Read a label map from a picture in any form: one number for each pixel, or a refusal."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nnunet_mamba.data.formats.file_endings import TIFF_ENDINGS

Array = npt.NDArray[Any]

_OPAQUE = 255
_ONE_NUMBER = ("1", "L", "I", "F")
_WAY_OUT = "expected one label number at each position; save it with one channel"


class NoLabelMapError(ValueError):
    """A file does not hold one number at each position; the text goes on after "it", and does not name the file."""


def read_label_picture(path: Path) -> Array:
    """Read a label map from a picture.

    Equal channels count as one, and an alpha channel that is opaque everywhere is ignored. As for nnU-Net, the
    colours of a palette count, not its indices.

    Args:
        path: .png, .bmp, .tif or another picture.

    Returns:
        (y, x), in the type that is stored.

    Raises:
        NoLabelMapError: several pictures, channels that differ, or transparent pixels.
        OSError: the file is damaged, or no picture.
        ValueError: the same.
        SyntaxError: the same.
    """
    if path.suffix.lower() in TIFF_ENDINGS:
        return _read_tiff(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                if image.format == "PNG":
                    # Decoding alone does not look at PNG's checksums.
                    image.verify()
            with Image.open(path) as image:
                return _pixels(image)
    except Image.DecompressionBombError as error:
        raise ValueError(f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels") from error


def _pixels(image: Image.Image) -> Array:
    if (n_pictures := getattr(image, "n_frames", 1)) > 1:
        raise NoLabelMapError(f"holds {n_pictures} pictures, expected one; save the one that is meant")
    if image.mode.split(";")[0] in _ONE_NUMBER:
        return np.asarray(image)
    # Pillow halves the 16 bits of colours, with which small label numbers would become 0.
    if any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        raise NoLabelMapError("is in colour with 16 bits a channel; save it with one channel")
    if image.mode in ("P", "PA"):
        return one_channel(np.asarray(image.convert("RGBA")), has_alpha=True, kind="colours of its palette")
    if image.mode not in ("LA", "RGB", "RGBA"):
        raise NoLabelMapError(f"is in the colour mode {image.mode}, {_WAY_OUT}")
    return one_channel(np.asarray(image), has_alpha=image.mode.endswith("A"))


def _read_tiff(path: Path) -> Array:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            if len(file.pages) > 1:
                raise NoLabelMapError(
                    f"holds {len(file.pages)} pages, expected one picture; save the one that is meant"
                )
            page = file.pages[0].aspage()
            pixels = np.asarray(page.asarray())
            if page.colormap is not None and page.photometric == tifffile.PHOTOMETRIC.PALETTE:
                return _without_palette(pixels, np.asarray(page.colormap))
            n_channels = page.samplesperpixel
            if n_channels > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
                pixels = np.moveaxis(pixels, 0, -1)
            has_alpha = any(kind != tifffile.EXTRASAMPLE.UNSPECIFIED for kind in page.extrasamples)
    except tifffile.TiffFileError as error:
        raise ValueError(str(error)) from error
    if n_channels > 1:
        return one_channel(pixels, has_alpha=has_alpha)
    if pixels.ndim != 2:
        raise NoLabelMapError(f"holds pixels of the shape {pixels.shape}, {_WAY_OUT}")
    return pixels


def _without_palette(indices: Array, palette: Array) -> Array:
    # TIFF counts colours to 65535, and some programs to 255.
    colours = palette >> 8 if palette.max(initial=0) > _OPAQUE else palette
    return one_channel(colours[:, indices].transpose(1, 2, 0), has_alpha=False, kind="colours of its palette")


def one_channel(pixels: Array, *, has_alpha: bool, kind: str = "channels") -> Array:
    """Return one of several equal channels.

    Args:
        pixels: (*spatial, c).
        has_alpha: whether the last channel may be alpha.
        kind: what the channels are, for the text of the error.

    Returns:
        (*spatial).

    Raises:
        NoLabelMapError: they differ, or some pixels are transparent.
    """
    first = pixels[..., :1]
    if (pixels == first).all():
        return np.ascontiguousarray(pixels[..., 0])
    n_channels = pixels.shape[-1]
    colours = pixels[..., :-1] if has_alpha else pixels
    if (colours != first).any():
        what = kind if kind != "channels" else f"{n_channels} channels"
        raise NoLabelMapError(f"has {what} that differ, {_WAY_OUT}")
    opaque = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else 1
    if (pixels[..., -1] != opaque).any():
        raise NoLabelMapError("has transparent pixels; save it without transparency, with one channel")
    return np.ascontiguousarray(pixels[..., 0])
