"""Label maps with the values or colours that the masks had before conversion."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.formats.dataset_json import IGNORE, DatasetJson
from nnunet_mamba.data.formats.label_values import SourceValue, colour_code

VOLUME_ENDING = ".nii.gz"
LARGEST_IN_PICTURES = 65535

# Those of NIfTI, the smallest first; all values fit into one of them.
_STORED_TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32)


class HasMaskValues(Protocol):
    """What is known of a data set's masks.

    ``labels`` leads from a name to its number in a label map; ``source_labels`` to its values in the source's masks, of
    which the first is written. It is empty if they are not known; then the numbers stay.
    """

    @property
    def labels(self) -> Mapping[str, int]:
        """Number of every label in a label map."""

    @property
    def source_labels(self) -> Mapping[str, tuple[SourceValue, ...]]:
        """Values of every label in the source's masks."""


def mask_values(
    dataset: DatasetJson,
    options: Mapping[str, Any],
    *,
    writes_pictures: bool,
    description: Path | str,
    record_file: Path | str,
) -> tuple[dict[str, int], dict[str, tuple[SourceValue, ...]]]:
    """Return what the labels of a data set are in label maps that nnU-Net writes, and in the source's masks.

    Args:
        dataset: the data set's dataset.json.
        options: of the conversion, from its record.
        writes_pictures: whether the source's masks are pictures.
        description: what to call dataset.json in the text of an error.
        record_file: what to call the record.

    Returns:
        Per label its number in label maps, and its values in the source's masks; see ``HasMaskValues``.

    Raises:
        ValueError: two regions share a number, the source's masks have values that no picture holds, or nothing is
            known of one of the labels.
    """
    labels = _label_numbers(dataset, description)
    source_labels = _source_values(options, labels, dataset.file_ending)
    if writes_pictures:
        _refuse_values_of_no_picture(source_labels, record_file)
    if source_labels and IGNORE not in source_labels:
        labels.pop(IGNORE, None)
    if source_labels and (missing := sorted(labels.keys() - source_labels.keys())):
        raise ValueError(
            f"{record_file} knows no value of the source for {', '.join(missing)}, a label of {description}"
        )
    return labels, source_labels


def in_source_values(label: npt.NDArray[Any], dataset: HasMaskValues) -> npt.NDArray[Any]:
    """Return a label map with the values of the source's masks.

    Args:
        label: (*spatial), values of ``dataset.labels``.
        dataset: that it belongs to.

    Returns:
        (*spatial), or (*spatial, 3) where the source's masks are in colour; in the smallest type that holds them all.
    """
    stored = dict(zip(dataset.labels.values(), map(np.asarray, _written_values(dataset)), strict=True))
    numbers = np.ravel(list(stored.values()))
    dtype = next(dtype for dtype in _STORED_TYPES if _holds(dtype, numbers))
    values = np.zeros((*label.shape, *stored[0].shape), dtype=dtype)
    for number, value in stored.items():
        values[label == number] = value
    return values


def _label_numbers(dataset: DatasetJson, description: Path | str) -> dict[str, int]:
    """Return the value that each label or region has in a label map that nnU-Net writes."""
    values = dataset.labels.values
    numbers = {name: value[0] if isinstance(value, tuple) else value for name, value in values.items()}
    if dataset.labels.has_regions:
        numbers |= dict(zip(dataset.labels.foreground, dataset.labels.regions_class_order, strict=True))
    if len(set(numbers.values())) < len(numbers):
        raise ValueError(
            f"{description} gives two regions the same number in regions_class_order, {numbers}; a mask cannot "
            "tell them apart"
        )
    return numbers


def _source_values(
    options: Mapping[str, Any], labels: Mapping[str, int], file_ending: str
) -> dict[str, tuple[SourceValue, ...]]:
    """Return the values of every label in the source's masks."""
    recorded = options.get("source_labels", {})
    if options.get("threshold") is not None and file_ending == VOLUME_ENDING:
        # Conversions record 255 for pictures and volumes alike; binary volumes hold 0 and 1.
        return {name: (labels[name],) for name in recorded if name in labels}
    return {name: tuple(values) if isinstance(values, list) else (values,) for name, values in recorded.items()}


def _refuse_values_of_no_picture(source_labels: Mapping[str, Sequence[SourceValue]], record_file: Path | str) -> None:
    for name, (value, *_) in source_labels.items():
        if isinstance(value, int) and not 0 <= value <= LARGEST_IN_PICTURES:
            raise ValueError(
                f"{record_file}: label {name} is {value} in the source, and pictures hold 0 to {LARGEST_IN_PICTURES}; "
                "convert again with other values"
            )


def _holds(dtype: type[np.integer[Any]], numbers: npt.NDArray[Any]) -> bool:
    limits = np.iinfo(dtype)
    return bool(limits.min <= numbers.min() and numbers.max() <= limits.max)


def _written_values(dataset: HasMaskValues) -> "list[int] | list[list[int]]":
    """Return the value, or red, green and blue, of every label."""
    if not dataset.source_labels:
        return list(dataset.labels.values())
    values = [dataset.source_labels[name][0] for name in dataset.labels]
    if any(isinstance(value, str) for known in dataset.source_labels.values() for value in known):
        return [list(colour_code(value).to_bytes(3, "big")) for value in values]
    return [int(value) for value in values]
