"""How the images of a model's data set were converted, kept beside its plans: results may be copied elsewhere.

nnU-Net neither reads the file nor copies it into its zip archives.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunet_mamba import __version__
from nnunet_mamba.data.unlabelled.image_conversion import ImageConversion
from nnunet_mamba.models.data_records import raw_conversion
from nnunet_mamba.models.needed_plans import needed_dataset_json
from nnunet_mamba.results.layout import fold_name
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.json_files import read_json_object

# Not called as the record in the raw data set, which tells of cases too.
KEPT_FILE = "nnunet_mamba_image_conversion.json"
_CONVERSION = "conversion"


def read_kept_conversion(folder: Path) -> ImageConversion | None:
    """Return the conversion that a model's results tell of, None if they tell of none.

    Args:
        folder: ``TRAINER__PLANS__CONFIGURATION``.

    Raises:
        ValueError: the file is damaged, or of a newer nnunet-mamba.
    """
    file = folder / KEPT_FILE
    if not file.is_file():
        return None
    try:
        return ImageConversion.from_json(read_json_object(file).get(_CONVERSION), place=f"{file}: {_CONVERSION}")
    except ValueError as error:
        raise ValueError(
            f"{error}; get the file again, or delete it and let nnUNet_raw name the folder that holds the data set"
        ) from error


def write_kept_conversion(folder: Path, conversion: ImageConversion) -> None:
    """Write a conversion into a model's results.

    Args:
        folder: ``TRAINER__PLANS__CONFIGURATION``.
        conversion: of the data set that the model was trained with.

    Raises:
        OSError: it cannot be written; an earlier one is untouched.
    """
    content = {"nnunet_mamba": __version__, _CONVERSION: conversion.to_json()}
    with replacing(folder / KEPT_FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def keep_conversion(folder: Path, dataset: str, dataset_json: Mapping[str, Any]) -> str | None:
    """Write into a model's results what the raw data set tells of its conversion, when a training begins.

    A data set that was converted anew does not change what other folds were trained with. No error is a reason not to
    train.

    Args:
        folder: ``TRAINER__PLANS__CONFIGURATION``.
        dataset: name of the data set's folder in ``$nnUNet_raw``.
        dataset_json: of the training data.

    Returns:
        One sentence for the user if something is not as it should be, else None.
    """
    try:
        _, found = raw_conversion(dataset, needed_dataset_json(dataset_json))
        kept = read_kept_conversion(folder)
        if found is None or found == kept:
            return None
        if kept is None:
            write_kept_conversion(folder, found)
            return None
        if any(folder.glob(f"{fold_name('*')}/*.pth")):
            return (
                f"{dataset} was converted anew, and otherwise, since a fold of this model was trained: {KEPT_FILE} "
                "goes on to tell of the earlier conversion; delete that file and all folds to train the model anew"
            )
        write_kept_conversion(folder, found)
        return f"{KEPT_FILE} told of another conversion of {dataset}, with which no fold was trained: it is replaced"
    except (OSError, ValueError) as error:
        return f"The model does not keep how its images were converted, and looks for it in nnUNet_raw: {error}"
