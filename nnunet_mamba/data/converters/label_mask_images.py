"""Pictures, colour or grey, with masks of any labels as an nnU-Net data set of PNGs."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.image_cases import ImageCaseConverter
from nnunet_mamba.data.formats import image_files
from nnunet_mamba.data.formats.image_files import ByteImage, ImageFileError
from nnunet_mamba.data.formats.label_values import LabelValues, UnknownValuesError, colour_codes, label_map
from nnunet_mamba.data.formats.mask_pixels import grey_levels, is_coloured, load_mask_pixels, mask_bytes
from nnunet_mamba.data.formats.whole_numbers import near_whole_numbers
from nnunet_mamba.data.problems import CaseCheck


def is_colour_file(path: Path) -> bool:
    """Return whether a picture is stored in colour, whatever its colours are.

    Args:
        path: any of PICTURE_ENDINGS.

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
        pixels = load_mask_pixels(path)
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

    def check(self, case: Case) -> CaseCheck:
        """Look at a case's files, and count the pixels of its mask that nearly miss a whole number."""
        checked = super().check(case)
        # Only TIFF files hold numbers with a decimal point.
        if case.mask is None or checked.problems or case.mask.suffix.lower() not in (".tif", ".tiff"):
            return checked
        _, n_rounded = near_whole_numbers(load_mask_pixels(case.mask)) if self.threshold is None else (None, 0)
        return replace(checked, n_rounded=n_rounded)


def _grey_picture(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    if is_coloured(pixels):
        raise ImageFileError("a coloured picture among grey ones; name three channels, `channel_names=R,G,B`")
    return image.convert("L")
