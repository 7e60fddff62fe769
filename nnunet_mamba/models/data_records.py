"""What a model was trained with, as the data set's files beside nnU-Net's results tell; no cases, no paths."""

import logging
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from nnunet_mamba.data.formats.dataset_json import dataset_json_in, read_dataset_json
from nnunet_mamba.data.splits.split_files import SPLITS_FILE, read_splits
from nnunet_mamba.data.unlabelled.conversion_of_dataset import image_conversion
from nnunet_mamba.data.writing.conversion_record import read_conversion_record
from nnunet_mamba.models.description import ModelDescription
from nnunet_mamba.models.needed_plans import needed_dataset_json
from nnunet_mamba.results.layout import ALL
from nnunet_mamba.results.trained_model import DATASET_FILE
from nnunet_mamba.system.nnunet_folders import nnunet_folder_if_set

_logger = logging.getLogger(__name__)
# What makes another data set of the same name.
_DISTINGUISHING = ("channel_names", "labels", "regions_class_order", "file_ending")


def with_data_records(description: ModelDescription) -> ModelDescription:
    """Return a description with the conversion and the splits of its data set, where nnU-Net's folders have them.

    Args:
        description: of a model that was trained here.

    Raises:
        ValueError: a file about the data set is damaged.
    """
    dataset = description.data.dataset
    raw, preprocessed = map(nnunet_folder_if_set, ("nnUNet_raw", "nnUNet_preprocessed"))
    folder = None if raw is None else raw / dataset
    is_there = folder is not None and _is_of(folder, description)
    record = read_conversion_record(folder) if folder is not None and is_there else None
    conversion = image_conversion(record, dataset_json_in(description.dataset_json)) if is_there else None
    data = description.data
    # A fold of all cases has not looked at the splits.
    if preprocessed is not None and description.fold_names != (ALL,):
        splits = preprocessed / dataset / SPLITS_FILE
        if splits.is_file():
            converted = raw is not None and _holds_equal(raw / dataset / SPLITS_FILE, splits)
            # Whoever has put other folds in their place has told nobody what they are called.
            split = record.options.get("split") if record is not None and converted else None
            data = replace(
                data,
                splits=split if isinstance(split, str) and split else None,
                splits_sha256=sha256(splits.read_bytes()).hexdigest(),
            )
    return replace(description, data=data, conversion=conversion)


def _holds_equal(file: Path, other: Path) -> bool:
    return file.is_file() and read_splits(file) == read_splits(other)


def _is_of(folder: Path, description: ModelDescription) -> bool:
    """Return whether a folder holds the raw data that a model was trained with."""
    if not (folder / DATASET_FILE).is_file():
        return False
    there = needed_dataset_json(read_dataset_json(folder / DATASET_FILE).content)
    differing = [name for name in _DISTINGUISHING if there.get(name) != description.dataset_json.get(name)]
    if differing:
        _logger.info(
            "%s has other %s than the data that the model was trained with, so the model does not tell how that was "
            "converted",
            *(folder, " and ".join(differing)),
        )
    return not differing
