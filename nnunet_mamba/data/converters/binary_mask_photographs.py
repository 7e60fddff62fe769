"""Photographs with black-and-white masks as an nnU-Net data set of one RGB PNG per case."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnunet_mamba.data.converters.image_cases import ImageCaseConverter
from nnunet_mamba.data.formats.image_files import ByteImage, Shape, load_binary_mask
from nnunet_mamba.data.formats.label_values import LabelValues
from nnunet_mamba.data.formats.picture_sizes import size_text
from nnunet_mamba.data.writing.raw_dataset import DatasetDescription
from nnunet_mamba.data.writing.run_options import RunOptions

# nnU-Net normalises channels of these names by their mean and standard deviation, image by image. The skin papers
# rescale each image by its own range too; "rgb_to_0_1" (divide by 255) would keep the brightness of each camera.
CHANNEL_NAMES = ("R", "G", "B")


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
        """Return the options that decide the bytes written, for the record.

        Args:
            foreground: name of the label.
        """
        return {
            "size": size_text(self.size),
            "sigmoid": self.sigmoid,
            "source_labels": {"background": 0, foreground: 255},
        }


def photograph_description(foreground: str, *, sigmoid: bool) -> DatasetDescription:
    """Return the description of a data set of RGB PNGs with one foreground label.

    Args:
        foreground: name of the label.
        sigmoid: declare it as a region.
    """
    labels, order = LabelValues.of({foreground: 255}).for_dataset_json(sigmoid=sigmoid)
    return DatasetDescription(
        channel_names=CHANNEL_NAMES,
        labels=labels,
        file_ending=".png",
        reader_writer="NaturalImage2DIO",
        regions_class_order=order,
    )


@dataclass(frozen=True, kw_only=True)
class PhotographConverter(ImageCaseConverter):
    """Check, read and write one photograph with its black-and-white mask."""

    def label_of(self, path: Path) -> ByteImage:
        """Return 1 where the mask is white."""
        return load_binary_mask(path, allow_empty=self.allow_empty_masks)
