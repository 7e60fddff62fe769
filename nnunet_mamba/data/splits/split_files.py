"""Put nnU-Net's splits_final.json where nnU-Net looks for it, and never over another one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunet_mamba.data.splits.split import Split
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.counts import how_many
from nnunet_mamba.system.json_files import json_kind, read_json_file
from nnunet_mamba.system.nnunet_folders import nnunet_folder_if_set

SPLITS_FILE = "splits_final.json"


def find_splits(dataset: str) -> Path | None:
    """Return the splits_final.json of a data set; None if there is none.

    That beside the preprocessed data counts, because training reads it; that beside the raw data is where it is from.

    Args:
        dataset: name of the data set's folder.
    """
    roots = [nnunet_folder_if_set(variable) for variable in ("nnUNet_preprocessed", "nnUNet_raw")]
    files = [root / dataset / SPLITS_FILE for root in roots if root is not None]
    return next((file for file in files if file.is_file()), None)


def read_splits(path: Path) -> list[dict[str, list[str]]]:
    """Read splits_final.json as nnU-Net will: UTF-8, and cases on both sides of every fold.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: nnU-Net could not train with it; says which fold.
    """
    try:
        content = read_json_file(path)
    except ValueError as error:
        raise ValueError(f"{error}. Expected nnU-Net's splits: write the file anew, or delete it") from error
    if problem := _splits_problem(content):
        raise ValueError(f"{path} holds no splits ({problem}), expected nnU-Net's; write the file anew, or delete it")
    return [{side: list(fold[side]) for side in ("train", "val")} for fold in content]


def refuse_other_splits(folder: Path, split: Split) -> None:
    """Raise if other splits are in place already, before anything is written and a training mixes two splits.

    Args:
        folder: ``$nnUNet_raw/DatasetXXX_Name``.
        split: that is to be written.

    Raises:
        FileExistsError: a splits_final.json beside the raw or the preprocessed data differs; names all of them.
        ValueError: one of them is no such file.
    """
    differing = []
    for path in _places(folder):
        if path.exists() and not _agree(stored := read_splits(path), split.as_json()):
            differing.append(f"{path} ({how_many(len(stored), 'fold')})")
    if differing:
        raise FileExistsError(
            f"other splits than {split.name} are in place: {', '.join(differing)}. What was trained with them cannot "
            "be compared; delete them and what was trained, or choose another `dataset_id`"
        )


def write_splits(folder: Path, split: Split) -> list[Path]:
    """Write splits_final.json beside the raw data, where nnU-Net finds it when it plans.

    If nnU-Net has planned the data set before, write it beside the preprocessed data too, where training reads it.

    Args:
        folder: ``$nnUNet_raw/DatasetXXX_Name``.
        split: without folds, nothing is written.

    Returns:
        The files that are in place.

    Raises:
        FileExistsError: other splits are in place; nothing has been written.
        OSError: a file cannot be written.
    """
    if not split.folds:
        return []
    refuse_other_splits(folder, split)
    places = _places(folder)
    for path in places:
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(split.as_json(), indent=1) + "\n", encoding="utf-8")
    return places


def adopt_splits(preprocessed: Path) -> Path | None:
    """Copy the splits beside the raw data to the preprocessed data if these have none: not every planner does it.

    Args:
        preprocessed: ``$nnUNet_preprocessed/DatasetXXX_Name``.

    Returns:
        The file that was copied, None if there was nothing to do.
    """
    raw = nnunet_folder_if_set("nnUNet_raw")
    target = preprocessed / SPLITS_FILE
    if raw is None or target.exists():
        return None
    source = raw / preprocessed.name / SPLITS_FILE
    if not source.is_file():
        return None
    with replacing(target) as temporary:
        temporary.write_bytes(source.read_bytes())
    return source


def _places(folder: Path) -> list[Path]:
    """Return where the splits belong: beside the raw data and, once planned, beside the preprocessed data."""
    raw, preprocessed = map(nnunet_folder_if_set, ("nnUNet_raw", "nnUNet_preprocessed"))
    places = [folder]
    # A data set outside $nnUNet_raw may share the name with another one that was planned.
    if raw and preprocessed and folder.parent.resolve() == raw.resolve():
        planned = preprocessed / folder.name
        places += [planned] if planned.is_dir() else []
    return [place / SPLITS_FILE for place in places]


def _splits_problem(content: Any) -> str:
    """Return in words why this is no list of folds with the names of cases in "train" and "val"; "" if it is.

    nnU-Net trains with a case that stands twice, or on both sides, so that is no problem.
    """
    if not isinstance(content, list):
        return f"{json_kind(content)}, not a list of folds"
    if not content:
        return "an empty list, without folds"
    for number, fold in enumerate(content):
        if not isinstance(fold, dict):
            return f"fold {number} is {json_kind(fold)}, not an object"
        for side in ("train", "val"):
            names = fold.get(side)
            if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
                return f"fold {number} has no list of cases under {side!r}"
    return ""


def _agree(stored: Sequence[Mapping[str, Sequence[str]]], wanted: Sequence[Mapping[str, Sequence[str]]]) -> bool:
    """Whether both are the same for nnU-Net, which ignores the order of cases and further folds in the file."""
    return len(stored) >= len(wanted) and all(
        sorted(one[side]) == sorted(other[side])
        for one, other in zip(stored, wanted, strict=False)
        for side in ("train", "val")
    )
