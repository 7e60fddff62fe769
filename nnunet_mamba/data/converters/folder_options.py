"""What a user may say of a folder of images and masks, and what is assumed otherwise."""

import math
from dataclasses import dataclass, field

from nnunet_mamba.data.formats.image_files import Shape
from nnunet_mamba.data.formats.label_values import LabelValues
from nnunet_mamba.data.sources.group_table import GroupTable
from nnunet_mamba.data.writing.run_options import RunOptions


def refuse_threshold(threshold: float | None) -> None:
    """Raise if a threshold is no number; its range for pictures is checked once pictures are found."""
    if threshold is not None and not math.isfinite(threshold):
        raise ValueError(f"`threshold={threshold}`: expected a number, such as 127 for grey borders")


@dataclass(frozen=True, kw_only=True)
class FolderFacts:
    """What a conversion assumes of a folder unless the options say something else.

    Args:
        name: of the converter, which its record of a conversion keeps.
        foreground: name of the only label.
        foreground_values: one of these is what masks hold besides 0.
    """

    name: str = "Dataset105_Folder"
    foreground: str = "foreground"
    foreground_values: tuple[int, ...] = (255, 1)


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """Options of a conversion of somebody's images.

    Args:
        labels: what the values of masks mean; None takes masks of 0 and 255 or of 0 and 1.
        threshold: instead, foreground is what is above.
        channel_names: names of the channels. Of images spread over files, the texts of ``{channel}``, in order, each
            with another name after "=" if wanted. None takes R, G, B or what stands for ``{channel}``, sorted.
        size: (y, x) to which pictures and masks are resized; None keeps the size.
        sigmoid: declare every label as a region, so that nnU-Net trains a sigmoid output for each.
        allow_missing_masks: images without a mask become test cases.
        allow_missing_images: masks without an image are left out.
        allow_empty_masks: masks without foreground are converted.
        join_masks: several masks of one image are joined to one label, or refused; None joins those that are disjoint.
        label_names: of masks that are files of one label each, the texts of ``{label}``, in the order of the labels,
            each with another name after "=" if wanted; others are not used. None takes what stands for ``{label}``,
            sorted. Where masks overlap, the later label counts.
        allow_missing_labels: an image without a mask of a label does not have it.
        groups: which cases show one patient or lesion, for patterns without ``{group}``.
        run: how to run the conversion.
        facts: what is assumed otherwise.

    Raises:
        ValueError: a threshold that is no number.
    """

    labels: LabelValues | None = None
    threshold: float | None = None
    channel_names: tuple[str, ...] | None = None
    size: Shape | None = None
    sigmoid: bool = False
    allow_missing_masks: bool = False
    allow_missing_images: bool = False
    allow_empty_masks: bool = False
    join_masks: bool | None = None
    label_names: tuple[str, ...] | None = None
    allow_missing_labels: bool = False
    groups: GroupTable | None = None
    run: RunOptions = field(default_factory=RunOptions)
    facts: FolderFacts = field(default_factory=FolderFacts)

    def __post_init__(self) -> None:
        refuse_threshold(self.threshold)
