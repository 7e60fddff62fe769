"""Where an nnU-Net data set belongs, and whether its number is free."""

import re
from pathlib import Path

from nnunet_mamba.system.nnunet_folders import VARIABLES, dataset_number, nnunet_folder, nnunet_folder_if_set

# A file system holds 255; the names of a lock and of an unpacked archive add to it.
LONGEST_DATASET_NAME = 100


def dataset_name(dataset_id: int, name: str) -> str:
    """Return nnU-Net's name of a data set, such as ``Dataset101_ISIC``.

    Args:
        dataset_id: 1 to 999.
        name: letters, digits, ``_`` and ``-``.

    Raises:
        ValueError: either is something else.
    """
    if not 1 <= dataset_id <= 999:
        raise ValueError(f"data set id {dataset_id}: expected 1 to 999, nnU-Net reads three digits")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"data set name {name!r}: expected letters, digits, '_' and '-' only, such as ISIC")
    if len(name) > LONGEST_DATASET_NAME:
        raise ValueError(f"data set name of {len(name)} characters: expected {LONGEST_DATASET_NAME} at most")
    return f"Dataset{dataset_id:03d}_{name}"


def raw_dataset_folder(dataset_id: int, name: str, *, output: Path | None = None) -> Path:
    """Return the folder for a raw data set; nothing is created.

    Args:
        dataset_id: 1 to 999.
        name: letters, digits, ``_`` and ``-``.
        output: the folder that holds raw data sets; None means ``$nnUNet_raw``.

    Raises:
        ValueError: invalid id or name, ``output`` is a data set itself, or one of nnU-Net's variables names no folder.
        FileNotFoundError: ``nnUNet_raw`` is not set and ``output`` not given.
        FileExistsError: another data set has this id; nnU-Net would refuse both.
    """
    full_name = dataset_name(dataset_id, name)
    if output is None:
        try:
            output = nnunet_folder("nnUNet_raw")
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}\nOr give a folder with `output`.") from error
    if dataset_number(output.resolve().name) is not None or (output / "dataset.json").is_file():
        raise ValueError(f"{output} is a data set itself, expected the folder that holds data sets; give that one")
    # nnU-Net looks an id up in all three of its folders and wants one name.
    set_roots = {key: root for key in VARIABLES if (root := nnunet_folder_if_set(key)) is not None}
    roots = [output, *set_roots.values()]
    if "nnUNet_raw" in set_roots and output.resolve() != set_roots["nnUNet_raw"].resolve():
        roots = [output]
    for root in roots:
        others = sorted(root.glob(f"Dataset{dataset_id:03d}*")) if root.is_dir() else []
        for other in others:
            if other.is_dir() and other.name != full_name:
                raise FileExistsError(
                    f"{other} has the id {dataset_id} too, and nnU-Net refuses two names for one id; "
                    f"choose another `dataset_id`, or the same `name`, or remove that folder"
                )
    return output / full_name


def refuse_nnunet_folder(folder: Path) -> None:
    """Raise if images are to be written directly into a folder in which nnU-Net looks for data sets or networks.

    Args:
        folder: need not exist.

    Raises:
        ValueError: it is one of nnU-Net's folders, or a variable of nnU-Net names no folder.
    """
    for variable in VARIABLES:
        root = nnunet_folder_if_set(variable)
        if root is not None and folder.resolve() == root.resolve():
            raise ValueError(f"{folder} is ${variable}, expected a folder for these images alone, such as {folder}/new")
