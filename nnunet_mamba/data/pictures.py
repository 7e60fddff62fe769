"""Pictures, colour or grey, with masks of any labels as an nnU-Net data set of PNGs."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nnunet_mamba.data import image_files
from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.checks import Checked, Problem
from nnunet_mamba.data.image_files import (
    ImageFileError,
    Shape,
    load_photograph,
    resized_image,
    resized_mask,
    write_png,
)
from nnunet_mamba.data.label_values import ByteImage, LabelValues, UnknownValuesError, colour_codes, label_map
from nnunet_mamba.data.photographs import turn_of

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
        return np.asarray(opaque if opaque.mode == "RGB" else opaque.convert("L"))


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
class PictureConverter:
    """Check, read and write one picture, in colour or as grey channels, with its mask.

    Args:
        labels: what the values of masks mean.
        threshold: instead, foreground is what is brighter; ``labels`` then has background and one label more.
        is_colour: a case is one RGB picture; otherwise it is one grey picture for each channel.
        size: (y, x) to resize to; None keeps the size.
        allow_empty_masks: accept masks without foreground.
    """

    labels: LabelValues
    threshold: float | None = None
    is_colour: bool = True
    size: Shape | None = None
    allow_empty_masks: bool = False

    def check(self, case: Case) -> Checked:
        """Look at a case's files.

        Args:
            case: with a mask or without.
        """
        problems = []
        label = digest = None
        shape: Shape = (0, 0)
        if case.label is not None:
            try:
                label = self._label(case.label)
            except ImageFileError as error:
                problems.append(Problem(case.identifier, str(error), case.label))
        try:
            images, shape = self._images(case, label, quick=True)
        except _ChannelError as error:
            problems.append(Problem(case.identifier, str(error), error.path))
        else:
            picture = blake2b(repr(shape).encode(), digest_size=16)
            for image in images:
                picture.update(image.tobytes())
            digest = picture.hexdigest()
            if label is not None and label.shape != shape:
                problems.append(Problem(case.identifier, _mismatch(shape, label.shape), case.label))
        return Checked(
            problems=tuple(problems),
            source={"shape": list(shape), **(turn_of(case) if digest else {})},
            digest=digest,
            foreground=None if label is None else self.labels.foreground_share(label),
        )

    def read(self, case: Case) -> list[npt.NDArray[Any]]:
        """Return the image files' pixels, (y, x, 3) or (y, x) each, and the label (y, x) if the case has one.

        Args:
            case: one that passed the check.

        Raises:
            ValueError: its files changed after the check.
        """
        try:
            label = None if case.label is None else self._label(case.label)
            images, shape = self._images(case, label)
        except ImageFileError as error:
            raise ValueError(f"{case.identifier}: {error} ({case.channels[0]}, {case.label})") from error
        pixels = [resized_image(image, self.size) for image in images]
        if label is None:
            return [*pixels]
        if label.shape != shape:
            raise ValueError(f"{case.identifier}: {_mismatch(shape, label.shape)} ({case.label})")
        return [*pixels, resized_mask(label, self.size)]

    def write(self, path: Path, array: npt.NDArray[Any]) -> None:
        """Save an image or label as PNG.

        Args:
            path: the file to create.
            array: (y, x, 3) or (y, x), uint8.
        """
        write_png(path, array)

    def _label(self, path: Path) -> ByteImage:
        """Return the label (y, x) at full size."""
        pixels = load_mask(path)
        if self.threshold is not None:
            label = (_grey_levels(pixels) > self.threshold).astype(np.uint8)
        else:
            try:
                label = label_map(colour_codes(pixels), self.labels.in_colours(), colours=True)
            except UnknownValuesError as error:
                raise ImageFileError(str(error)) from error
        if not label.any():
            if not self.allow_empty_masks:
                raise ImageFileError("empty mask: every pixel is background; if that is meant, use --allow-empty-masks")
        elif not resized_mask(label, self.size).any():
            raise ImageFileError(
                f"{np.count_nonzero(label)} labelled pixels, and none of them is left at the size {self.size}; "
                "choose a larger --size"
            )
        return label

    def _images(self, case: Case, label: ByteImage | None, *, quick: bool = False) -> tuple[list[Image.Image], Shape]:
        """Return the pictures of all channels, RGB or grey, and their common size (y, x)."""
        label_shape = None if label is None else (label.shape[0], label.shape[1])
        images = []
        shapes: list[Shape] = []
        for path in case.channels:
            try:
                image, shape = load_photograph(path, label_shape=label_shape, quick=quick)
                images.append(image if self.is_colour else _grey_picture(image))
                shapes.append(shape)
                if shape != shapes[0]:
                    raise ImageFileError(f"{_pixels(shape)}, and {case.channels[0].name} has {_pixels(shapes[0])}")
            except ImageFileError as error:
                raise _ChannelError(str(error), path) from error
        return images, shapes[0]


class _ChannelError(ImageFileError):
    """What is wrong with one of several image files."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self.path = path


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


def _pixels(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[0]} pixels"


def _mismatch(image: Sequence[int], label: Sequence[int]) -> str:
    return (
        f"the mask has {_pixels(label)}, its image {_pixels(image)} (width x height); "
        "expected the same, is it the mask of another image?"
    )
