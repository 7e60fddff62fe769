"""Tell how new images are read from what is known of a data set: its conversion's record, or its dataset.json alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnunet_mamba.data.converters.lgg_slices import Spacing
from nnunet_mamba.data.formats.dataset_json import DatasetJson
from nnunet_mamba.data.formats.file_endings import VOLUME_ENDINGS
from nnunet_mamba.data.formats.image_files import Shape
from nnunet_mamba.data.formats.picture_sizes import parse_size
from nnunet_mamba.data.restoring.record_faults import is_number, option_faults
from nnunet_mamba.data.restoring.source_values import VOLUME_ENDING, mask_values
from nnunet_mamba.data.unlabelled.conversion_entries import whole_values
from nnunet_mamba.data.unlabelled.image_conversion import N_COLOURS, ImageConversion, ImageKind
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE, ConversionRecord

_DESCRIPTION = "dataset.json"
# Those that nnU-Net's NaturalImage2DIO reads.
_PICTURES_BY_HAND = (".png", ".bmp", ".tif")
# Readers of nnU-Net that give the voxels in the order of the file.
_READERS = (None, "None", "NaturalImage2DIO", "SimpleITKIO", "NibabelIO")


def image_conversion(record: ConversionRecord | None, dataset_json: DatasetJson) -> ImageConversion:
    """Return how images of a data set are read, and how their masks are written.

    Args:
        record: of the conversion that made the raw data set; None if somebody made it by hand. Then images are taken as
            they are, their files are called as nnU-Net calls them, and masks keep the numbers of the labels.
        dataset_json: of the data set.

    Raises:
        ValueError: the record or dataset.json is damaged, or the data set is of a kind that is not read here.
    """
    names = _channel_names(dataset_json)
    if record is None:
        made = _made_by_hand(dataset_json, names)
    else:
        if faults := option_faults(record.options):
            raise ValueError(f"{RECORD_FILE} is damaged: {faults[0]}; convert again")
        made = _made_by_conversion(record, dataset_json, names)
    options: Mapping[str, Any] = {} if record is None else record.options
    labels, source_labels = mask_values(
        dataset_json,
        options,
        writes_pictures=made.kind.writes_pictures,
        description=_DESCRIPTION,
        record_file=RECORD_FILE,
    )
    try:
        return ImageConversion(
            kind=made.kind,
            channel_names=names,
            labels=labels,
            source_labels={name: whole_values(values) for name, values in source_labels.items()},
            channel_tokens=made.channel_tokens,
            size=made.size,
            threshold=options.get("threshold"),
            spacing=made.spacing,
            is_by_hand=record is None,
        )
    except ValueError as error:
        raise ValueError(f"{RECORD_FILE} and {_DESCRIPTION} do not fit together: {error}") from error


@dataclass(frozen=True, kw_only=True)
class _Made:
    """How the images of a data set were made."""

    kind: ImageKind
    channel_tokens: tuple[str, ...] = ()
    size: Shape | None = None
    spacing: Spacing | None = None


def _channel_names(dataset_json: DatasetJson) -> tuple[str, ...]:
    """Return the names of the channels in their order."""
    # "modality" is the older name, which nnU-Net still reads.
    stored = dataset_json.content.get("channel_names", dataset_json.content.get("modality"))
    names = list(stored.values()) if isinstance(stored, dict) else []
    is_numbered = isinstance(stored, dict) and sorted(stored) == sorted(map(str, range(len(stored))))
    if not names or not is_numbered or not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError(
            f'{_DESCRIPTION}: "channel_names" is {stored!r:.80}, expected a name for each number from "0", such as '
            '{"0": "R", "1": "G", "2": "B"}'
        )
    return tuple(stored[str(number)] for number in range(len(names)))


def _made_by_hand(dataset_json: DatasetJson, names: tuple[str, ...]) -> _Made:
    reader = dataset_json.content.get("overwrite_image_reader_writer")
    if reader not in _READERS:
        raise ValueError(
            f"{_DESCRIPTION}: images are read with {reader}, which changes the order of their voxels; predict them "
            "with nnUNetv2_predict"
        )
    numbers = tuple(f"{number:04d}" for number in range(len(names)))
    ending = dataset_json.file_ending.lower()
    if ending in VOLUME_ENDINGS:
        return _Made(kind=ImageKind.VOLUMES, channel_tokens=numbers)
    if ending not in _PICTURES_BY_HAND:
        expected = ", ".join((*_PICTURES_BY_HAND, *VOLUME_ENDINGS))
        raise ValueError(
            f'{_DESCRIPTION}: "file_ending" is {dataset_json.file_ending!r}, expected one of {expected}; predict such '
            "images with nnUNetv2_predict"
        )
    if len(names) == N_COLOURS:
        return _Made(kind=ImageKind.PHOTOGRAPHS, channel_tokens=numbers[:1])
    return _Made(kind=ImageKind.GREY_PICTURES, channel_tokens=numbers)


def _made_by_conversion(record: ConversionRecord, dataset_json: DatasetJson, names: tuple[str, ...]) -> _Made:
    """Return how a conversion made the images: each kind of conversion records options of its own."""
    options = record.options
    size = _size(options)
    if "as" in options:
        if options["as"] == "slices":
            return _Made(kind=ImageKind.LGG_SLICES, size=size)
        thickness, in_plane = options.get("slice_thickness"), options.get("pixel_spacing")
        return _Made(kind=ImageKind.LGG_VOLUMES, spacing=_spacing([thickness, in_plane, in_plane]))
    if "form" in options:
        if options["form"] == "RawData":
            return _Made(kind=ImageKind.CT_VOLUMES)
        return _Made(kind=ImageKind.TRANSUNET_VOLUMES, spacing=_spacing(options.get("spacing")))
    tokens = _tokens(record, names)
    if dataset_json.file_ending == VOLUME_ENDING:
        return _Made(kind=ImageKind.VOLUMES, channel_tokens=tokens)
    if len(names) == N_COLOURS and not tokens:
        return _Made(kind=ImageKind.PHOTOGRAPHS, size=size)
    return _Made(kind=ImageKind.GREY_PICTURES, size=size, channel_tokens=tokens)


def _tokens(record: ConversionRecord, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return what tells the files of channels apart; earlier releases did not record it."""
    tokens = tuple(record.channel_tokens)
    if not all(isinstance(token, str) and token for token in tokens):
        raise ValueError(f"{RECORD_FILE} is damaged: channel_tokens are {tokens!r:.80}, expected texts; convert again")
    if tokens or len(names) == 1:
        return tokens
    # Where the user named no channels, their names are what stood in those of the files. Three names may be the
    # colours of one file: then there are fewer files than channels and a mask.
    n_files = [len(list(case["files"])) - (key in record.label_folders) for key, case in record.cases.items()]
    return names if min(n_files, default=1) >= len(names) else ()


def _size(options: Mapping[str, Any]) -> Shape | None:
    try:
        return parse_size(str(options.get("size", "original")))
    except ValueError as error:
        raise ValueError(f"{RECORD_FILE} is damaged: {error}; convert again") from error


def _spacing(values: Any) -> Spacing:
    if not isinstance(values, list) or len(values) != 3 or not all(is_number(value) and value > 0 for value in values):
        raise ValueError(
            f"{RECORD_FILE} is damaged: spacing {values!r:.60}, expected three lengths in mm; convert again"
        )
    z, y, x = map(float, values)
    return z, y, x
