"""What a model was trained with, as the data set's files beside nnU-Net's results tell; no cases, no paths."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from nnunet_mamba.data.formats.dataset_json import dataset_json_in, read_dataset_json
from nnunet_mamba.data.splits.split_files import SPLITS_FILE, read_splits
from nnunet_mamba.data.unlabelled.conversion_of_dataset import image_conversion
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion
from nnunet_mamba.data.writing.conversion_record import ConversionRecord, read_conversion_record
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

    A conversion that the description has already is the model's own, and stays.

    Args:
        description: of a model that was trained here.

    Raises:
        ValueError: a file about the data set is damaged.
    """
    dataset, own = description.data.dataset, description.conversion
    try:
        record, found = raw_conversion(dataset, description.dataset_json)
    except ValueError as error:
        if own is None:
            raise
        _logger.info("%s, so images are converted as the model tells", error)
        record, found = None, None
    if own is not None and found is not None and own != found:
        _logger.warning(
            "nnUNet_raw holds %s as it was converted otherwise than for the model, so images are converted as the "
            "model tells",
            dataset,
        )
        record = None
    preprocessed = nnunet_folder_if_set("nnUNet_preprocessed")
    data = description.data
    # A fold of all cases has not looked at the splits.
    if preprocessed is not None and description.fold_names != (ALL,):
        splits = preprocessed / dataset / SPLITS_FILE
        if splits.is_file():
            data = replace(
                data,
                splits=None if record is None else _name_of_splits(record, dataset, splits),
                splits_sha256=sha256(splits.read_bytes()).hexdigest(),
            )
    return replace(description, data=data, conversion=found if own is None else own)


def _name_of_splits(record: ConversionRecord, dataset: str, splits: Path) -> str | None:
    """Return what the conversion calls its splits, unless somebody has put other ones in their place."""
    raw, name = nnunet_folder_if_set("nnUNet_raw"), record.options.get("split")
    if raw is None or not isinstance(name, str) or not name:
        return None
    written = raw / dataset / SPLITS_FILE
    return name if written.is_file() and read_splits(written) == read_splits(splits) else None


def raw_conversion(
    dataset: str, dataset_json: Mapping[str, Any]
) -> tuple[ConversionRecord | None, ImageConversion | None]:
    """Return what the raw data set tells of its conversion: its record, and what it says about new images.

    Args:
        dataset: name of its folder.
        dataset_json: what is needed of the one that a model was trained with; a data set with another one is not that
            of the model.

    Returns:
        No record of a data set that somebody made by hand; nothing where nnU-Net's folders do not have the data set.

    Raises:
        ValueError: a file about the data set is damaged, or its images are of a kind that is not read here.
    """
    raw = nnunet_folder_if_set("nnUNet_raw")
    folder = None if raw is None else raw / dataset
    if folder is None or not _is_of(folder, dataset_json):
        return None, None
    record = read_conversion_record(folder)
    return record, image_conversion(record, dataset_json_in(dataset_json))


def _is_of(folder: Path, dataset_json: Mapping[str, Any]) -> bool:
    """Return whether a folder holds the raw data that a model was trained with."""
    if not (folder / DATASET_FILE).is_file():
        return False
    there = needed_dataset_json(read_dataset_json(folder / DATASET_FILE).content)
    differing = [name for name in _DISTINGUISHING if there.get(name) != dataset_json.get(name)]
    if differing:
        _logger.info(
            "%s has other %s than the data that the model was trained with, so the model does not tell how that was "
            "converted",
            *(folder, " and ".join(differing)),
        )
    return not differing
