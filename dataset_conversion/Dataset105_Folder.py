"""Convert anybody's images and masks for nnU-Net: pictures or NIfTI volumes, found by a pattern of their names.

Without patterns, ``images/NAME.*`` belongs to ``masks/NAME.*``; with them, any layout is told::

    --image-pattern "{case}.jpg" --mask-pattern "{case}_mask.png"
    --image-pattern "{group}/{case}_{channel}.nii.gz" --mask-pattern "{group}/{case}_seg.nii.gz"
    --image-pattern "**/{case}.tif" --mask-pattern "**/{case}_label.png"
    --image-pattern "{case}/ct.nii.gz" --mask-pattern "{case}/segmentations/{label}.nii.gz"

Run ``python Dataset105_Folder.py --help``, or ``nnunet-mamba convert folder --help``, which is the same.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.binary_mask_photographs import CHANNEL_NAMES
from nnunet_mamba.data.converters.joined_masks import log_disjoint
from nnunet_mamba.data.converters.label_mask_images import PictureConverter, is_colour_file, load_mask, mask_bytes
from nnunet_mamba.data.converters.labelled_volumes import VolumeConverter
from nnunet_mamba.data.formats.dataset_json import BACKGROUND, IGNORE
from nnunet_mamba.data.formats.image_files import ImageFileError, Shape
from nnunet_mamba.data.formats.label_values import LabelValues, colour_codes
from nnunet_mamba.data.formats.nifti_files import VolumeError
from nnunet_mamba.data.formats.volume_files import read_volume
from nnunet_mamba.data.formats.whole_numbers import near_whole_numbers
from nnunet_mamba.data.problems import Problem, same_name
from nnunet_mamba.data.sources.filename_patterns import VOLUME_ENDINGS, FoundFile
from nnunet_mamba.data.sources.group_table import GroupTable, recorded_groups
from nnunet_mamba.data.sources.pairing import pair_found_files, without_masks
from nnunet_mamba.data.sources.parts import joined_parts
from nnunet_mamba.data.sources.pattern_source import PatternMaskRules, Source
from nnunet_mamba.data.sources.several_masks import natural_order
from nnunet_mamba.data.writing.conversion_record import Recipe
from nnunet_mamba.data.writing.raw_dataset import (
    CaseConverter,
    Conversion,
    DatasetDescription,
    write_prediction_images,
    write_raw_dataset,
)
from nnunet_mamba.data.writing.run_options import RunOptions

NAME = "Dataset105_Folder"
FOREGROUND = "foreground"
# Where nothing else is said: masks of one foreground, which hold either of these besides 0.
DEFAULT_FOREGROUNDS = (255, 1)
LARGEST_GREY = 255


def refuse_threshold(threshold: float | None) -> None:
    """Raise if a threshold is no number; what it may be for pictures is told when it is known that there are some."""
    if threshold is not None and not math.isfinite(threshold):
        raise ValueError(f"--threshold {threshold}: expected a number, such as 127 for grey borders")


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

    def __post_init__(self) -> None:
        refuse_threshold(self.threshold)


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
        raise ValueError("--groups and {group} in a pattern both say which cases belong together; give one")
    images = source.some_images()
    masks = source.some_masks()
    channels = _channels(source, without_masks(images, masks), options)
    tokens, names = _label_tokens(source, masks, options)
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
    values = _labels(cases, channels, options)
    # A file of one label says where it is, and its name which it is.
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
        recipe=Recipe.of(NAME, recorded, cases),
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
    labels = LabelValues.of({FOREGROUND: DEFAULT_FOREGROUNDS[0]})
    recorded = {
        key: value for key, value in _recorded(channels, labels, options).items() if key in ("size", "channels")
    }
    return write_prediction_images(
        cases,
        folder,
        _description(channels, labels.numbers, None),
        converter=_converter(channels, labels, options),
        recipe=Recipe.of(NAME, {**recorded, "images_only": True}, cases),
        problems=problems,
        options=options.run,
    )


def _channels(source: Source, images: Sequence[FoundFile], options: FolderOptions) -> _Channels:
    """Find out how the images are stored."""
    volumes = [found.path for found in images if found.path.name.lower().endswith(VOLUME_ENDINGS)]
    if volumes and len(volumes) < len(images):
        picture = next(found.path for found in images if found.path not in volumes)
        raise ValueError(f"pictures and volumes together, {picture} and {volumes[0]}; narrow --image-pattern")
    given = options.channel_names
    if volumes and options.size is not None:
        raise ValueError("--size is for pictures; nnU-Net brings volumes to one spacing by itself, leave it out")
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
            "files, put {channel} into --image-pattern"
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
    if masks and cases and not any(case.label for case in cases):
        raise ValueError(
            f"no image and no mask belong together: cases are called {cases[0].identifier!r}, ... in the images and "
            f"{masks[0].case!r}, ... in the masks; correct --image-pattern and --mask-pattern"
        )
    return cases, problems


def _label_tokens(
    source: Source, masks: Sequence[FoundFile], options: FolderOptions
) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Return what stands for ``{label}``, in the order of the labels, and their names; None without ``{label}``."""
    if not source.has_labels:
        if options.label_names is not None or options.allow_missing_labels:
            raise ValueError("--label-names and --allow-missing-labels need {label} in --mask-pattern")
        return None, None
    if options.labels is not None:
        raise ValueError(
            "--labels and {label} in --mask-pattern both say which labels there are; give one, or name those of "
            "{label} with --label-names"
        )
    # Spellings that differ in capitals are one label.
    spellings = {same_name(found.label or ""): found.label or "" for found in masks}
    there = sorted(spellings.values(), key=natural_order)
    pairs = [name.partition("=") for name in options.label_names or there]
    # nnU-Net wants "ignore" to have the last number.
    named = sorted(((token, name or token) for token, _, name in pairs), key=lambda pair: pair[1] == IGNORE)
    tokens, names = tuple(token for token, _ in named), tuple(name for _, name in named)
    if unknown := {same_name(token) for token in tokens} - {same_name(token) for token in there}:
        raise ValueError(
            f"--label-names {', '.join(sorted(unknown))}: no mask is called so, expected some of {', '.join(there)}"
        )
    if BACKGROUND in names:
        raise ValueError(f"masks of {BACKGROUND!r}: that is what no mask marks; choose the labels with --label-names")
    if len(set(names)) < len(names):
        raise ValueError(f"--label-names {', '.join(names)}: expected another name for every label")
    return tokens, names


def _labels(cases: Sequence[Case], channels: _Channels, options: FolderOptions) -> LabelValues:
    """Return the labels; where none are given, the first mask with foreground tells which of two ways to write it.

    It tells for all: a mask that is written the other way is a problem, and so is any other value.
    """
    if options.labels is not None:
        if options.threshold is not None:
            raise ValueError("--labels and --threshold both say what the masks mean; give one")
        # At once, instead of with every mask.
        _ = options.labels.in_integers() if channels.are_volumes else options.labels.in_colours()
        return options.labels
    ways = [LabelValues.of({FOREGROUND: value}) for value in DEFAULT_FOREGROUNDS]
    if options.threshold is not None:
        if not channels.are_volumes and not 0 <= options.threshold < LARGEST_GREY:
            raise ValueError(
                f"--threshold {options.threshold:g}: pictures hold 0 to {LARGEST_GREY}, expected at least 0 and less "
                f"than {LARGEST_GREY}, or every pixel would be on one side"
            )
        return ways[0]
    for case in cases:
        for mask in case.masks:
            values = _values(mask, channels)
            for way in ways:
                number_of = way.in_integers() if channels.are_volumes else way.in_colours()
                if len(values) > 1 and values == number_of.keys():
                    return way
    return ways[0]


def _values(path: Path, channels: _Channels) -> frozenset[float]:
    """Return the values of a mask, none if it is unreadable, which the checks will report."""
    read: Callable[[Path], npt.NDArray[Any]] = (
        (lambda file: near_whole_numbers(read_volume(file).voxels)[0])
        if channels.are_volumes
        else (lambda file: colour_codes(mask_bytes(load_mask(file))))
    )
    try:
        return frozenset(np.unique(read(path)).tolist())
    except (ImageFileError, VolumeError, MemoryError):
        return frozenset()


def _converter(channels: _Channels, labels: LabelValues, options: FolderOptions) -> CaseConverter:
    if channels.are_volumes:
        return VolumeConverter(
            labels=labels,
            threshold=options.threshold,
            may_be_ct=options.channel_names is not None,
            allow_empty_masks=options.allow_empty_masks,
        )
    return PictureConverter(
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
        "size": "original" if options.size is None else f"{options.size[0]}x{options.size[1]}",
        "sigmoid": options.sigmoid,
    }


if __name__ == "__main__":
    from nnunet_mamba.cli.convert.folder import folder
    from nnunet_mamba.cli.convert.shared import run_as_script

    run_as_script(folder, sys.modules[__name__])
