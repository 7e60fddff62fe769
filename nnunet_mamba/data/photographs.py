"""Photographs with black-and-white masks as an nnU-Net data set of one RGB PNG per case."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy.typing as npt

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.checks import Checked, Problem
from nnunet_mamba.data.image_files import (
    ImageFileError,
    Shape,
    load_binary_mask,
    load_photograph,
    opened_image,
    orientation_of,
    resized_image,
    resized_mask,
    write_png,
)
from nnunet_mamba.data.raw_dataset import DatasetDescription
from nnunet_mamba.data.run_options import RunOptions

# nnU-Net normalises channels of these names by their mean and standard deviation, image by image. The skin papers
# rescale each image by its own range too; "rgb_to_0_1" (divide by 255) would keep the brightness of each camera.
CHANNEL_NAMES = ("R", "G", "B")
LARGEST_SIDE = 16384  # pixels


@dataclass(frozen=True, kw_only=True)
class PhotographOptions:
    """Options of a conversion of photographs.

    Args:
        size: (y, x) to which whole images and masks are resized; None keeps the original size.
        sigmoid: declare the foreground as a region, so that nnU-Net trains one sigmoid output with BCE and Dice.
        allow_missing_masks: images without a mask become test cases.
        allow_missing_images: masks without an image are left out.
        allow_empty_masks: masks without foreground are converted.
        run: how to run the conversion.
    """

    size: Shape | None = (256, 256)
    sigmoid: bool = False
    allow_missing_masks: bool = False
    allow_missing_images: bool = False
    allow_empty_masks: bool = False
    run: RunOptions = field(default_factory=RunOptions)

    def recorded(self, foreground: str) -> dict[str, Any]:
        """Return the options that decide the bytes written, for the recipe.

        Args:
            foreground: name of the label.
        """
        return {
            "size": "original" if self.size is None else f"{self.size[0]}x{self.size[1]}",
            "sigmoid": self.sigmoid,
            "source_labels": {"background": 0, foreground: 255},
        }


def parse_size(text: str) -> Shape | None:
    """Read a size as the command line gives it.

    Args:
        text: "original", a side in pixels ("256") or height x width ("192x256").

    Returns:
        (y, x), or None for the original size.

    Raises:
        ValueError: anything else.
    """
    if text.lower() == "original":
        return None
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text.lower())
    if match:
        height, width = int(match[1]), int(match[2] or match[1])
        if min(height, width) >= 1 and max(height, width) <= LARGEST_SIDE:
            return height, width
    raise ValueError(
        f"size {text!r}: expected 'original', a side such as 256, or HEIGHTxWIDTH such as 192x256 "
        f"(1 to {LARGEST_SIDE} pixels)"
    )


def photograph_description(foreground: str, *, sigmoid: bool) -> DatasetDescription:
    """Return the description of a data set of RGB PNGs with one foreground label.

    Args:
        foreground: name of the label.
        sigmoid: declare it as a region. nnU-Net takes a list for a region only if it has more than one
            value, hence [1, 1].
    """
    return DatasetDescription(
        channel_names=CHANNEL_NAMES,
        labels={"background": 0, foreground: [1, 1] if sigmoid else 1},
        file_ending=".png",
        reader_writer="NaturalImage2DIO",
        regions_class_order=(1,) if sigmoid else None,
    )


@dataclass(frozen=True)
class PhotographConverter:
    """Check, read and write one photograph with its mask.

    Args:
        size: (y, x) to resize to; None keeps the size.
        allow_empty_masks: accept masks without foreground.
    """

    size: Shape | None
    allow_empty_masks: bool = False

    def check(self, case: Case) -> Checked:
        """Look at a case's files.

        Args:
            case: a photograph, with a mask or without.
        """
        problems = []
        shape: Shape = (0, 0)
        mask = digest = None
        if case.label is not None:
            try:
                mask = load_binary_mask(case.label, allow_empty=self.allow_empty_masks)
            except ImageFileError as error:
                problems.append(Problem(case.identifier, str(error), case.label))
            else:
                if mask.any() and not resized_mask(mask, self.size).any():
                    text = f"{int(mask.sum())} lesion pixels, and none of them is left at the size {self.size}"
                    problems.append(Problem(case.identifier, f"{text}; choose a larger --size", case.label))
        try:
            label_shape = None if mask is None else (mask.shape[0], mask.shape[1])
            image, shape = load_photograph(case.channels[0], label_shape=label_shape, quick=True)
            digest = blake2b(image.tobytes() + repr(shape).encode(), digest_size=16).hexdigest()
        except ImageFileError as error:
            problems.append(Problem(case.identifier, str(error), case.channels[0]))
        else:
            if label_shape is not None and label_shape != shape:
                problems.append(Problem(case.identifier, _mismatch(shape, label_shape), case.label))
        return Checked(
            problems=tuple(problems),
            source={"shape": list(shape), **turn_of(case)} if digest else {"shape": list(shape)},
            digest=digest,
            foreground=None if mask is None else float(mask.mean()),
        )

    def read(self, case: Case) -> list[npt.NDArray[Any]]:
        """Return the RGB image (y, x, 3) and, if the case has one, its label (y, x) with values 0 and 1.

        Args:
            case: a photograph that passed the check.

        Raises:
            ValueError: its files changed after the check.
        """
        try:
            if case.label is None:
                image, _ = load_photograph(case.channels[0], target=self.size)
                return [resized_image(image, self.size)]
            # Thresholded at full size first: resizing grey levels would move the border.
            mask = load_binary_mask(case.label, allow_empty=self.allow_empty_masks)
            label_shape = (mask.shape[0], mask.shape[1])
            image, shape = load_photograph(case.channels[0], label_shape=label_shape, target=self.size)
        except ImageFileError as error:
            raise ValueError(f"{case.identifier}: {error} ({case.channels[0]}, {case.label})") from error
        if mask.shape != shape:
            raise ValueError(f"{case.identifier}: {_mismatch(shape, mask.shape)} ({case.label})")
        return [resized_image(image, self.size), resized_mask(mask, self.size)]

    def write(self, path: Path, array: npt.NDArray[Any]) -> None:
        """Save an image or label as PNG.

        Args:
            path: the file to create.
            array: (y, x, 3) or (y, x), uint8.
        """
        write_png(path, array)


def turn_of(case: Case) -> dict[str, int]:
    """Return how the picture was turned upright, where a predicted mask is to be turned back.

    A mask of the source is drawn on the upright picture, or else the picture is not turned.
    """
    if case.label is not None:
        return {}
    with opened_image(case.channels[0]) as image:
        orientation = orientation_of(image)
    return {"orientation": orientation} if orientation > 1 else {}


def _mismatch(image: Sequence[int], label: Sequence[int]) -> str:
    return (
        f"the mask has {label[1]}x{label[0]} pixels, its image {image[1]}x{image[0]} (width x height); "
        "expected the same, is it the mask of another image?"
    )
