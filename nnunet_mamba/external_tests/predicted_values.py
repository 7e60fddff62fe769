"""What the values of a model's masks are called in the references: labels are one if their names are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_mamba.data.formats.dataset_json import IGNORE, DatasetJson, Labels
from nnunet_mamba.data.formats.file_endings import PICTURE_ENDINGS
from nnunet_mamba.data.formats.whole_numbers import shown_number
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion
from nnunet_mamba.evaluation.case_scoring import ReadsCases
from nnunet_mamba.evaluation.label_pictures import Array, NoLabelMapError, read_label_picture


def values_in_references(
    conversion: ImageConversion, labels: Labels, dataset: DatasetJson | None, *, name: str
) -> dict[int, int]:
    """Return the number in the references for each value of a model's masks.

    Args:
        conversion: of the model's training data, which decides what is written into masks.
        labels: of the model.
        dataset: what the references' dataset.json says; None for black and white masks, which are read as 0 and 1.
        name: of the model, for texts.

    Raises:
        ValueError: the references have other labels, or masks are written in colours.
    """
    ours = {label for label, number in conversion.labels.items() if number and label != IGNORE}
    if dataset is None:
        if len(ours) != 1:
            raise ValueError(
                f"{name} has the labels {_shown(ours)}, and the references are black and white masks, of one label; "
                "name a model of one label, or references with their `dataset_json`"
            )
        numbers = dict.fromkeys(ours, 1)
    else:
        theirs = set(dataset.labels.foreground)
        is_alike = labels.has_regions == dataset.labels.has_regions and (
            not labels.has_regions or dict(labels.values) == dict(dataset.labels.values)
        )
        if ours != theirs or not is_alike:
            regions = "" if ours != theirs else ", made of other values"
            raise ValueError(
                f"{name} has the labels {_shown(ours)}, and the references have {_shown(theirs)}{regions}; test models "
                "of the same labels, or call them alike in the dataset.json of the references"
            )
        numbers = _numbers(dataset.labels)
    kept = {label for label, number in conversion.labels.items() if number == 0 or label in ours}
    return {_written(conversion, label, name): numbers.get(label, 0) for label in conversion.labels if label in kept}


def _written(conversion: ImageConversion, label: str, name: str) -> int:
    """Return the value of a label in a model's masks."""
    value = conversion.source_labels[label][0] if conversion.source_labels else conversion.labels[label]
    if isinstance(value, str):
        raise ValueError(
            f"{name} writes masks in colours such as {value}, which are not scored here; convert the references and "
            "train with label numbers"
        )
    return value


def _numbers(labels: Labels) -> dict[str, int]:
    """Return the number that each label or region has in a label map that nnU-Net writes."""
    if labels.has_regions:
        return dict(zip(labels.foreground, labels.regions_class_order, strict=True))
    values = {label: labels.values[label] for label in labels.foreground}
    return {label: value[0] if isinstance(value, tuple) else value for label, value in values.items()}


def _shown(labels: set[str]) -> str:
    return ", ".join(sorted(labels)) or "none"


@dataclass(frozen=True, kw_only=True)
class TranslatingReader:
    """Reads references as they are, and predicted masks in the references' numbers; may be sent to other processes.

    Args:
        reader: of the references.
        predictions: folder of the predicted masks.
        values: of predicted masks, with their numbers in the references.
    """

    reader: ReadsCases
    predictions: Path
    values: Mapping[int, int]

    def read_seg(self, seg_fname: str) -> tuple[Array, dict[str, Any]]:
        """Return a label map, (1, *spatial), and what the file tells of its place.

        Raises:
            NoLabelMapError: a mask has a value that the model does not write.
            OSError: the file cannot be read.
            ValueError: it is damaged.
            SyntaxError: the same.
        """
        path = Path(seg_fname)
        if self.predictions not in path.parents:
            return self.reader.read_seg(seg_fname)
        if path.suffix.lower() in PICTURE_ENDINGS:
            written = read_label_picture(path)[None, None]
            properties: dict[str, Any] = {}
        else:
            written, properties = self.reader.read_seg(seg_fname)
        numbers = np.zeros(written.shape, np.min_scalar_type(max(self.values.values())))
        is_known = np.zeros(written.shape, bool)
        for value, number in self.values.items():
            is_value = written == value
            numbers[is_value] = number
            is_known |= is_value
        if not is_known.all():
            others = ", ".join(map(shown_number, np.unique(written[~is_known])[:5]))
            raise NoLabelMapError(f"has the values {others}, which the model does not write; delete it and run again")
        return numbers, properties

    def take_missed(self) -> dict[str, int]:
        """Return how many values were taken as whole numbers in each file since the last call."""
        return self.reader.take_missed()
