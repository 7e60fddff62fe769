"""What of a data set's conversion decides how a new image is read and how its predicted mask is written.

A trained model needs this of the data set that it was trained on, and nothing of its cases; a file that shares a model
carries it as JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from nnunet_mamba.data.converters.lgg_slices import FLAIR, Spacing
from nnunet_mamba.data.formats.file_endings import PICTURE_ENDINGS, TIFF_ENDINGS, VOLUME_ENDINGS
from nnunet_mamba.data.formats.image_files import Shape
from nnunet_mamba.data.formats.label_values import SourceValue
from nnunet_mamba.data.formats.picture_sizes import size_text
from nnunet_mamba.data.restoring.source_values import LARGEST_IN_PICTURES
from nnunet_mamba.data.unlabelled.conversion_entries import checked_entries

N_COLOURS = 3
LARGEST_GREY = 255
# What a conversion of volumes calls a channel for which the user has no name: CT is refused among them.
UNNAMED_CHANNEL = "image"


class ImageKind(str, Enum):
    """What the images of a data set are, and with that how they are found, read and written back."""

    PHOTOGRAPHS = "photographs"
    GREY_PICTURES = "grey_pictures"
    VOLUMES = "volumes"
    CT_VOLUMES = "ct_volumes"
    LGG_SLICES = "lgg_slices"
    LGG_VOLUMES = "lgg_volumes"
    TRANSUNET_VOLUMES = "transunet_volumes"

    @property
    def endings(self) -> tuple[str, ...]:
        """How the names of its files end, in small letters."""
        if self in (ImageKind.LGG_SLICES, ImageKind.LGG_VOLUMES):
            return TIFF_ENDINGS
        if self is ImageKind.TRANSUNET_VOLUMES:
            return (".npz", ".npy.h5")
        return VOLUME_ENDINGS if self in (ImageKind.VOLUMES, ImageKind.CT_VOLUMES) else PICTURE_ENDINGS

    @property
    def is_resized(self) -> bool:
        """Whether a conversion may resize its images."""
        return self in (ImageKind.PHOTOGRAPHS, ImageKind.GREY_PICTURES, ImageKind.LGG_SLICES)

    @property
    def needs_spacing(self) -> bool:
        """Whether its files do not tell the spacing."""
        return self in (ImageKind.LGG_VOLUMES, ImageKind.TRANSUNET_VOLUMES)

    @property
    def writes_pictures(self) -> bool:
        """Whether its masks are pictures."""
        return self.is_resized or self is ImageKind.LGG_VOLUMES

    @property
    def shown_channel(self) -> int:
        """Which channel of its volumes is shown to people."""
        return FLAIR if self is ImageKind.LGG_VOLUMES else 0

    @property
    def in_words(self) -> str:
        """What a person calls its files."""
        return _IN_WORDS[self]


_IN_WORDS = {
    ImageKind.PHOTOGRAPHS: "photographs (.jpg, .png, .bmp, .tif, .webp)",
    ImageKind.GREY_PICTURES: "grey pictures (.png, .jpg, .bmp, .tif, .webp)",
    ImageKind.VOLUMES: "volumes (.nii.gz, .nii, .mha, .mhd, .nrrd)",
    ImageKind.CT_VOLUMES: "CT volumes (.nii.gz, .nii, .mha, .mhd, .nrrd)",
    ImageKind.LGG_SLICES: "MRI slices, RGB files of three sequences (PATIENT_1.tif)",
    ImageKind.LGG_VOLUMES: "MRI scans, a folder of slices for each, RGB files of three sequences (PATIENT_1.tif)",
    ImageKind.TRANSUNET_VOLUMES: "TransUNet's files (case0005_slice000.npz, case0001.npy.h5)",
}
_N_CHANNELS = {
    ImageKind.PHOTOGRAPHS: N_COLOURS,
    ImageKind.CT_VOLUMES: 1,
    ImageKind.LGG_SLICES: N_COLOURS,
    ImageKind.LGG_VOLUMES: N_COLOURS,
    ImageKind.TRANSUNET_VOLUMES: 1,
}


@dataclass(frozen=True, kw_only=True)
class ImageConversion:
    """How images of a data set are read, and how their masks are written.

    Args:
        kind: what the images are.
        channel_names: as in dataset.json.
        labels: name to the number in a label map that nnU-Net writes.
        source_labels: name to its values in the source's masks, of which the first is written; empty if they are not
            known, then the numbers stay.
        channel_tokens: what tells the files of an image's channels apart in their names, in the order of the channels;
            empty where an image is one file. A single one may be missing in the names.
        size: (y, x) to which pictures are resized; None keeps their size.
        threshold: above it was the one label in the masks of the training; None if their values meant labels.
        spacing: mm, (z, y, x), of volumes whose files do not tell it.
        is_by_hand: whether somebody made the data set without a conversion, so that files are called and read as
            nnU-Net does it.

    Raises:
        ValueError: parts that contradict each other; the text begins with the name of one.
    """

    kind: ImageKind
    channel_names: tuple[str, ...]
    labels: Mapping[str, int]
    source_labels: Mapping[str, tuple[SourceValue, ...]] = field(default_factory=dict)
    channel_tokens: tuple[str, ...] = ()
    size: Shape | None = None
    threshold: float | None = None
    spacing: Spacing | None = None
    is_by_hand: bool = False

    def __post_init__(self) -> None:
        self._check_channels()
        self._check_labels()
        if self.size is not None and not self.kind.is_resized:
            raise ValueError(f"size is {size_text(self.size)}, expected none for {self.kind.value}")
        if (self.spacing is None) is self.kind.needs_spacing:
            expected = "mm along z, y and x" if self.kind.needs_spacing else "none"
            raise ValueError(f"spacing is {self.spacing}, expected {expected} for {self.kind.value}")

    def _check_channels(self) -> None:
        n_channels = len(self.channel_names)
        if (expected := _N_CHANNELS.get(self.kind, n_channels)) != n_channels:
            raise ValueError(f"channel_names are {n_channels}, expected {expected} for {self.kind.value}")
        n_files = 1 if self.kind in _N_CHANNELS else n_channels
        n_tokens = len(self.channel_tokens)
        if n_tokens != n_files and (n_tokens or n_files > 1):
            raise ValueError(
                f"channel_tokens are {n_tokens}, expected {n_files}, one for each file of an image of {n_channels} "
                "channels"
            )

    def _check_labels(self) -> None:
        numbers = list(self.labels.values())
        if 0 not in numbers or len(numbers) < 2 or len(set(numbers)) < len(numbers):
            raise ValueError(f"labels are {dict(self.labels)}, expected different numbers, 0 and at least one more")
        if not self.source_labels:
            return
        if missing := sorted(self.labels.keys() - self.source_labels.keys()):
            raise ValueError(f"source_labels know nothing of {', '.join(missing)}, expected values for every label")
        values = [value for listed in self.source_labels.values() for value in listed]
        in_colour = [value for value in values if isinstance(value, str)]
        if in_colour and not self.kind.writes_pictures:
            raise ValueError(f"source_labels hold the colour {in_colour[0]}, expected numbers for {self.kind.value}")
        highest = LARGEST_GREY if in_colour else LARGEST_IN_PICTURES
        others = [value for value in values if isinstance(value, int) and not 0 <= value <= highest]
        if others and self.kind.writes_pictures:
            raise ValueError(f"source_labels hold {others[0]}, expected 0 to {highest} for {self.kind.value}")

    @property
    def may_be_ct(self) -> bool:
        """Whether volumes may hold values as a CT does."""
        return self.is_by_hand or self.channel_names != (UNNAMED_CHANNEL,)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON values."""
        return {
            "kind": self.kind.value,
            "channel_names": list(self.channel_names),
            "channel_tokens": list(self.channel_tokens),
            "labels": dict(self.labels),
            "source_labels": {name: list(values) for name, values in self.source_labels.items()},
            "size": size_text(self.size),
            "threshold": self.threshold,
            "spacing": None if self.spacing is None else list(self.spacing),
            "is_by_hand": self.is_by_hand,
        }

    @classmethod
    def from_json(cls, content: Any, *, place: str = "conversion") -> "ImageConversion":
        """Return the conversion that ``to_json`` described.

        Args:
            content: of a file, which may come from anywhere.
            place: what to call it in the text of an error.

        Raises:
            ValueError: an entry is missing, unknown, or not what it should be; the text names it.
        """
        entries = checked_entries(content, place=place, kinds=[kind.value for kind in ImageKind])
        try:
            return cls(**{**entries, "kind": ImageKind(entries["kind"])})
        except ValueError as error:
            raise ValueError(f"{place}.{error}") from error
