"""Convert anybody's images and masks for nnU-Net: pictures or NIfTI volumes, found by a pattern of their names.

Without patterns, ``images/NAME.*`` belongs to ``masks/NAME.*``; with them, any layout is told::

    --image-pattern "{case}.jpg" --mask-pattern "{case}_mask.png"
    --image-pattern "{group}/{case}_{channel}.nii.gz" --mask-pattern "{group}/{case}_seg.nii.gz"
    --image-pattern "**/{case}.tif" --mask-pattern "**/{case}_label.png"
    --image-pattern "{case}/ct.nii.gz" --mask-pattern "{case}/segmentations/{label}.nii.gz"
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.binary_mask_photographs import CHANNEL_NAMES
from nnunet_mamba.data.converters.folder_labels import label_tokens, label_values
from nnunet_mamba.data.converters.folder_options import FolderOptions
from nnunet_mamba.data.converters.joined_masks import log_disjoint
from nnunet_mamba.data.converters.label_mask_images import LabelMaskImageConverter, is_colour_file
from nnunet_mamba.data.converters.labelled_volumes import VolumeConverter
from nnunet_mamba.data.formats.file_endings import VOLUME_ENDINGS
from nnunet_mamba.data.formats.image_files import ImageFileError
from nnunet_mamba.data.formats.label_values import LabelValues
from nnunet_mamba.data.formats.picture_sizes import size_text
from nnunet_mamba.data.problems import Problem
from nnunet_mamba.data.sources.filename_patterns import FoundFile
from nnunet_mamba.data.sources.group_table import recorded_groups
from nnunet_mamba.data.sources.pairing import pair_found_files, without_masks
from nnunet_mamba.data.sources.parts import joined_parts
from nnunet_mamba.data.sources.pattern_source import PatternMaskRules, Source
from nnunet_mamba.data.writing.conversion_record import ConversionRecord
from nnunet_mamba.data.writing.raw_dataset import (
    CaseConverter,
    Conversion,
    DatasetDescription,
    write_prediction_images,
    write_raw_dataset,
)


@dataclass(frozen=True, kw_only=True)
class _Channels:
    """How images are stored, found out once for the whole data set.

    Args:
        names: as in dataset.json.
        tokens: what stands for ``{channel}``, in order; None where an image is one file.
        are_volumes: NIfTI rather than pictures.
    """

    names: tuple[str, ...]
    tokens: tuple[str, ...] | None
    are_volumes: bool

    @property
    def is_colour(self) -> bool:
        return self.tokens is None and len(self.names) == len(CHANNEL_NAMES)


def convert_folder(
    source: Source, folder: Path, *, test: Source | None = None, options: FolderOptions | None = None
) -> Conversion:
    """Convert images and masks to an nnU-Net raw data set.

    Args:
        source: of the training cases.
        folder: ``$nnUNet_raw/Dataset105_Folder``.
        test: of the test cases.
        options: None takes the defaults.

    Raises:
        InvalidDatasetError: some cases have problems; nothing has been written.
        ValueError: no images or masks, or options that do not fit them.
        OSError: the folder holds something else, or writing failed.
    """
    options = options or FolderOptions()
    if options.groups is not None and source.has_groups:
        raise ValueError("`groups` and {group} in a pattern both say which cases belong together; give one")
    images = source.some_images()
    masks = source.some_masks()
    channels = _channels(source, without_masks(images, masks), options)
    tokens, names = label_tokens(source, masks, options)
    rules = PatternMaskRules(
        joined=options.join_masks, labels=tokens, allow_missing_labels=options.allow_missing_labels
    )
    found, problems = _cases(images, masks, channels, options, is_training=True, rules=rules)
    parts = {"training": (found, [*problems, *source.unfound(found)])}
    if test is not None:
        test_images, test_masks = test.some_images(), test.find_masks()
        found, problems = _cases(test_images, test_masks, channels, options, is_training=False, rules=rules)
        parts["test"] = (found, [*problems, *test.unfound(found)])
    cases, problems = joined_parts(parts)
    values = label_values(cases, options, are_volumes=channels.are_volumes)
    # A file of one label tells where the label is, and its name tells which label it is.
    labels = values if names is None else LabelValues.of({name: n for n, name in enumerate(names, start=1)})
    recorded = _recorded(channels, labels, options)
    if options.groups is not None:
        cases, group_problems = options.groups.assign(cases)
        problems += group_problems
        recorded |= recorded_groups(cases)
    in_json, order = labels.for_dataset_json(sigmoid=options.sigmoid)
    done = write_raw_dataset(
        cases,
        folder,
        _description(channels, in_json, order),
        converter=_converter(channels, values, options),
        record=ConversionRecord.of(options.facts.name, recorded, cases, channel_tokens=channels.tokens or ()),
        problems=problems,
        options=options.run,
    )
    log_disjoint(done.cases)
    return done


def prepare_folder_images(source: Source, folder: Path, *, options: FolderOptions | None = None) -> Conversion:
    """Prepare images without masks for ``nnUNetv2_predict``, as the training images were.

    Args:
        source: of the images.
        folder: input folder of the prediction.
        options: ``size`` and ``channel_names`` must be those of the training data; None takes the defaults.

    Raises:
        InvalidDatasetError: some images have problems; nothing has been written.
        ValueError: no images, or options that do not fit them.
        OSError: the folder holds something else, or writing failed.
    """
    options = options or FolderOptions()
    images = source.some_images()
    channels = _channels(source, images, options)
    cases, problems = _cases(images, [], channels, options, is_training=False, rules=PatternMaskRules())
    problems += source.unfound()
    labels = LabelValues.of({options.facts.foreground: options.facts.foreground_values[0]})
    recorded = {
        key: value for key, value in _recorded(channels, labels, options).items() if key in ("size", "channels")
    }
    return write_prediction_images(
        cases,
        folder,
        _description(channels, labels.numbers, None),
        converter=_converter(channels, labels, options),
        record=ConversionRecord.of(options.facts.name, {**recorded, "images_only": True}, cases),
        problems=problems,
        options=options.run,
    )


def _channels(source: Source, images: Sequence[FoundFile], options: FolderOptions) -> _Channels:
    """Find out how the images are stored."""
    volumes = [found.path for found in images if found.path.name.lower().endswith(VOLUME_ENDINGS)]
    if volumes and len(volumes) < len(images):
        picture = next(found.path for found in images if found.path not in volumes)
        raise ValueError(f"pictures and volumes together, {picture} and {volumes[0]}; narrow `image_pattern`")
    given = options.channel_names
    if volumes and options.size is not None:
        raise ValueError("`size` is for pictures; nnU-Net brings volumes to one spacing by itself, leave it out")
    if source.has_channels:
        pairs = [name.partition("=") for name in given or sorted({found.channel or "" for found in images})]
        return _Channels(
            names=tuple(name or token for token, _, name in pairs),
            tokens=tuple(token for token, _, _ in pairs),
            are_volumes=bool(volumes),
        )
    if volumes:
        names = given or ("image",)
        expected = "1"
    else:
        names = given or (CHANNEL_NAMES if _are_colour(images) else ("grey",))
        expected = "3 (colour) or 1 (grey)"
    if len(names) != 1 and (volumes or len(names) != len(CHANNEL_NAMES)):
        raise ValueError(
            f"channel names {', '.join(names)}: expected {expected} for images of one file each; if a case has several "
            "files, put {channel} into `image_pattern`"
        )
    return _Channels(names=names, tokens=None, are_volumes=bool(volumes))


def _are_colour(images: Sequence[FoundFile]) -> bool:
    """Return how the first picture that can be read is stored; the checks compare the others with it."""
    for found in images:
        try:
            return is_colour_file(found.path)
        except ImageFileError:
            continue
    return True


def _cases(
    images: Sequence[FoundFile],
    masks: Sequence[FoundFile],
    channels: _Channels,
    options: FolderOptions,
    *,
    is_training: bool,
    rules: PatternMaskRules,
) -> tuple[list[Case], list[Problem]]:
    cases, problems = pair_found_files(
        images,
        masks,
        channels=channels.tokens,
        is_training=is_training,
        allow_missing_masks=options.allow_missing_masks,
        allow_missing_images=options.allow_missing_images,
        rules=rules,
    )
    if masks and cases and not any(case.mask for case in cases):
        raise ValueError(
            f"no image and no mask belong together: cases are called {cases[0].identifier!r}, ... in the images and "
            f"{masks[0].case!r}, ... in the masks; correct `image_pattern` and `mask_pattern`"
        )
    return cases, problems


def _converter(channels: _Channels, labels: LabelValues, options: FolderOptions) -> CaseConverter:
    if channels.are_volumes:
        return VolumeConverter(
            labels=labels,
            threshold=options.threshold,
            may_be_ct=options.channel_names is not None,
            allow_empty_masks=options.allow_empty_masks,
        )
    return LabelMaskImageConverter(
        labels=labels,
        threshold=options.threshold,
        is_colour=channels.is_colour,
        size=options.size,
        allow_empty_masks=options.allow_empty_masks,
    )


def _description(
    channels: _Channels, labels: dict[str, int | list[int]] | dict[str, int], order: tuple[int, ...] | None
) -> DatasetDescription:
    return DatasetDescription(
        channel_names=channels.names,
        labels={**labels},
        file_ending=".nii.gz" if channels.are_volumes else ".png",
        reader_writer="SimpleITKIO" if channels.are_volumes else "NaturalImage2DIO",
        regions_class_order=order,
        files_per_case=len(channels.tokens or (0,)),
    )


def _recorded(channels: _Channels, labels: LabelValues, options: FolderOptions) -> dict[str, Any]:
    """Return the options that decide the bytes written."""
    return {
        "source_labels": labels.recorded(),
        "threshold": options.threshold,
        "channels": list(channels.names),
        "size": size_text(options.size),
        "sigmoid": options.sigmoid,
    }
