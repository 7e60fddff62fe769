"""What a conversion recorded for the way back from label maps to the source's masks, checked before use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_mamba.data.formats.dataset_json import DatasetJson, read_dataset_json
from nnunet_mamba.data.formats.image_files import Shape
from nnunet_mamba.data.formats.label_map_files import refuse_if_no_folder
from nnunet_mamba.data.formats.label_values import SourceValue
from nnunet_mamba.data.formats.picture_sizes import parse_size
from nnunet_mamba.data.restoring.record_faults import record_faults
from nnunet_mamba.data.restoring.source_values import VOLUME_ENDING, mask_values
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE, read_conversion_record
from nnunet_mamba.data.writing.raw_dataset import DATASET_JSON
from nnunet_mamba.system.json_files import read_json_object


@dataclass(frozen=True, kw_only=True)
class ConvertedDataset:
    """What a conversion remembers for the way back.

    Args:
        folder: of the data set, or of images prepared for prediction.
        file_ending: of label maps, with its dot.
        labels: name to value in a label map; "ignore" too, which is in labels but never predicted.
        source_labels: name to its values in the source's masks, of which the first is written; empty if they are not
            known, then values stay. Of masks with a threshold, which hold many values, those that are written alone.
        threshold: what is above it in the source's masks is the one label; None if values mean labels.
        size: (y, x) to which pictures were resized; None for their own.
        cases: per identifier what the conversion recorded: part, files, bytes, source, and label_folder if it has a
            label.
        sources: the folders that the source files are in.
    """

    folder: Path
    file_ending: str
    labels: Mapping[str, int]
    source_labels: Mapping[str, tuple[SourceValue, ...]]
    threshold: float | None
    size: Shape | None
    cases: Mapping[str, Mapping[str, Any]]
    sources: Sequence[str]


def read_converted_dataset(folder: Path, predictions: Path) -> ConvertedDataset:
    """Read what a conversion remembers.

    Args:
        folder: a raw data set, or images prepared for prediction.
        predictions: where nnU-Net puts a copy of the training data's dataset.json, which prepared images do not have.

    Raises:
        FileNotFoundError: ``folder`` was not made by a conversion, or there is no dataset.json.
        ValueError: a damaged file.
    """
    refuse_if_no_folder(folder, holds="the converted data set")
    record = read_conversion_record(folder)
    if record is None:
        raise FileNotFoundError(
            f"{folder} holds no {RECORD_FILE}, expected a folder that nnunet-mamba convert has written: that file "
            "knows the way back"
        )
    record_file = folder / RECORD_FILE
    content = read_json_object(record_file, any_encoding=True, unique_names=True)
    if faults := record_faults(content):
        more = f", and {len(faults) - 1} more problems" if len(faults) > 1 else ""
        raise ValueError(f"{record_file} is damaged: {faults[0]}{more}; convert again")
    try:
        size = parse_size(str(record.options.get("size", "original")))
    except ValueError as error:
        raise ValueError(f"{record_file} is damaged: {error}; convert again") from error
    description, dataset = _read_description(folder, predictions)
    cases = content["cases"]
    labels, source_labels = mask_values(
        dataset,
        record.options,
        writes_pictures=dataset.file_ending != VOLUME_ENDING
        or any("slices" in case["source"] for case in cases.values()),
        description=description,
        record_file=record_file,
    )
    return ConvertedDataset(
        folder=folder,
        file_ending=dataset.file_ending,
        labels=labels,
        source_labels=source_labels,
        threshold=record.options.get("threshold"),
        size=size,
        cases=cases,
        sources=record.sources,
    )


def _read_description(folder: Path, predictions: Path) -> tuple[Path, DatasetJson]:
    """Return the training data's dataset.json and what it says."""
    description = next((path for path in (folder / DATASET_JSON, predictions / DATASET_JSON) if path.is_file()), None)
    if description is None:
        raise FileNotFoundError(
            f"no {DATASET_JSON} in {folder} or {predictions}, expected the one of the training data; copy it there"
        )
    try:
        return description, read_dataset_json(description)
    except ValueError as error:
        raise ValueError(f"{description} is no dataset.json of nnU-Net: {error}; copy the training data's") from error
