"""Read folders of predictions: score each against the same references, and refuse what cannot be compared."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.comparison.scored_model import ScoredModel
from nnunet_mamba.comparison.trained_cases import refuse_trained_cases
from nnunet_mamba.data.formats.dataset_json import read_dataset_json
from nnunet_mamba.data.formats.label_map_files import refuse_if_no_folder
from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure
from nnunet_mamba.evaluation.folders import evaluate_folders
from nnunet_mamba.results.trained_model import DATASET_FILE


@dataclass(frozen=True, kw_only=True)
class FoldersRequest:
    """Which folders are compared, and with what.

    Args:
        predictions: a folder for each model.
        references: folder of the label maps or masks that all of them are scored against.
        dataset_json: names the labels and the file ending; None takes the one beside ``references``.
        allow_missing: compare the cases that are predicted; otherwise a reference without prediction is an error.
        distances: to measure; None counts pixels alone.
        processes: how many processes read and count; None takes one per core.
        progress: show it on standard error.
    """

    predictions: Sequence[Path]
    references: Path
    dataset_json: Path | None = None
    allow_missing: bool = False
    distances: DistanceMeasure | None = None
    processes: int | None = None
    progress: bool = False


def read_folders(request: FoldersRequest) -> list[ScoredModel]:
    """Return the models behind some folders, scored on all references; nothing is written beside the predictions.

    Args:
        request: which ones.

    Raises:
        FileNotFoundError: a folder, a prediction or a reference is missing; lists all that are.
        ValueError: there is one folder, a folder is named twice, folders look swapped, label maps cannot be scored, or
            a model has other labels or has trained on the cases.
    """
    folders = list(request.predictions)
    if len(folders) < 2:
        raise ValueError(
            f"{' '.join(map(str, folders)) or 'no folder'}: expected two or more folders of predictions; name another "
            "one"
        )
    refuse_if_no_folder(request.references, holds="references")
    for folder in folders:
        refuse_if_no_folder(folder, holds="predictions")
    resolved = [folder.resolve() for folder in folders]
    if repeated := [folder for folder, place in zip(folders, resolved, strict=True) if resolved.count(place) > 1]:
        raise ValueError(f"{repeated[0]} is named twice; name two different folders of predictions")
    if request.references.resolve() in resolved:
        raise ValueError(
            f"{request.references} is named as predictions and as `reference`; name the folder of references once"
        )
    return [_read_folder(folder, name, request) for folder, name in zip(folders, short_names(resolved), strict=True)]


def short_names(folders: Sequence[Path]) -> list[str]:
    """Return the last parts of each path, as many as tell all of them apart.

    Args:
        folders: full paths, all different.
    """
    most = max(len(folder.parts) for folder in folders)
    for n_parts in range(1, most + 1):
        names = ["/".join(folder.parts[-n_parts:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    raise AssertionError(f"{folders} are not all different")


def _read_folder(folder: Path, name: str, request: FoldersRequest) -> ScoredModel:
    own = folder / DATASET_FILE
    labels = read_dataset_json(own).labels.values if own.is_file() else None
    described = request.dataset_json or request.references.resolve().parent / DATASET_FILE
    if labels is not None and described.is_file():
        expected = read_dataset_json(described).labels.values
        if labels != expected:
            told = [", ".join(f"{label} = {value}" for label, value in each.items()) for each in (labels, expected)]
            raise ValueError(
                f"{name} has other labels than the references, {told[0]} in {own} and {told[1]} in {described}; "
                "compare models of the same labels"
            )
    with tempfile.TemporaryDirectory() as scratch:
        done = evaluate_folders(
            folder,
            request.references,
            request.dataset_json,
            output=Path(scratch),
            allow_missing=request.allow_missing,
            processes=request.processes,
            progress=request.progress,
            distances=request.distances,
        )
    refuse_trained_cases(folder, [case.identifier for case in done.cases], name=name)
    return ScoredModel(name=name, place=folder, cases=done.cases, distances=done.distances, labels=labels)
