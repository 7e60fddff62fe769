"""Which labels the masks of somebody's own folder have, and how their values or names tell them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.folder_options import FolderOptions
from nnunet_mamba.data.formats.dataset_json import BACKGROUND, IGNORE
from nnunet_mamba.data.formats.image_files import ImageFileError
from nnunet_mamba.data.formats.label_values import LabelValues, colour_codes
from nnunet_mamba.data.formats.mask_pixels import load_mask_pixels, mask_bytes
from nnunet_mamba.data.formats.nifti_files import VolumeError
from nnunet_mamba.data.formats.volume_files import read_volume
from nnunet_mamba.data.formats.whole_numbers import near_whole_numbers
from nnunet_mamba.data.problems import same_name
from nnunet_mamba.data.sources.filename_patterns import FoundFile
from nnunet_mamba.data.sources.pattern_source import Source
from nnunet_mamba.data.sources.several_masks import natural_order

LARGEST_GREY = 255


def label_tokens(
    source: Source, masks: Sequence[FoundFile], options: FolderOptions
) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """Return what stands for ``{label}``, in the order of the labels, and their names; None without ``{label}``.

    Args:
        source: of the training cases.
        masks: the files that were found there.
        options: of the conversion.

    Raises:
        ValueError: options that contradict the pattern or each other, or that name what is not there.
    """
    if not source.has_labels:
        if options.label_names is not None or options.allow_missing_labels:
            raise ValueError("`label_names` and `allow_missing_labels=True` need {label} in `mask_pattern`")
        return None, None
    if options.labels is not None:
        raise ValueError(
            "`labels` and {label} in `mask_pattern` both say which labels there are; give one, or name those of "
            "{label} with `label_names`"
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
            f"`label_names={', '.join(sorted(unknown))}`: no mask is called so, expected some of {', '.join(there)}"
        )
    if BACKGROUND in names:
        raise ValueError(f"masks of {BACKGROUND!r}: that is what no mask marks; choose the labels with `label_names`")
    if len(set(names)) < len(names):
        raise ValueError(f"`label_names={', '.join(names)}`: expected another name for every label")
    return tokens, names


def label_values(cases: Sequence[Case], options: FolderOptions, *, are_volumes: bool) -> LabelValues:
    """Return what the values of masks mean.

    If the options do not say it, the first mask with foreground tells whether 255 or 1 is the foreground. It tells for
    all masks: one that is written the other way is a problem, and so is any other value.

    Args:
        cases: whose masks are looked at.
        options: of the conversion.
        are_volumes: whether masks are volumes rather than pictures.

    Raises:
        ValueError: labels or a threshold that such masks cannot have.
    """
    if options.labels is not None:
        if options.threshold is not None:
            raise ValueError("`labels` and `threshold` both say what the masks mean; give one")
        # Refuse them once, instead of with every mask.
        _ = options.labels.in_integers() if are_volumes else options.labels.in_colours()
        return options.labels
    facts = options.facts
    ways = [LabelValues.of({facts.foreground: value}) for value in facts.foreground_values]
    if options.threshold is not None:
        if not are_volumes and not 0 <= options.threshold < LARGEST_GREY:
            raise ValueError(
                f"`threshold={options.threshold:g}`: pictures hold 0 to {LARGEST_GREY}, expected at least 0 and less "
                f"than {LARGEST_GREY}, or every pixel would be on one side"
            )
        return ways[0]
    for case in cases:
        for mask in case.masks:
            values = _values(mask, are_volumes=are_volumes)
            for way in ways:
                number_of = way.in_integers() if are_volumes else way.in_colours()
                if len(values) > 1 and values == number_of.keys():
                    return way
    return ways[0]


def _values(path: Path, *, are_volumes: bool) -> frozenset[float]:
    """Return the values of a mask; none if it cannot be read, which the checks report."""
    read: Callable[[Path], npt.NDArray[Any]] = (
        (lambda file: near_whole_numbers(read_volume(file).voxels)[0])
        if are_volumes
        else (lambda file: colour_codes(mask_bytes(load_mask_pixels(file))))
    )
    try:
        return frozenset(np.unique(read(path)).tolist())
    except (ImageFileError, VolumeError, MemoryError):
        return frozenset()
