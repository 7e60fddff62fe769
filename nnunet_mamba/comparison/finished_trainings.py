"""Read cross-validations from nnU-Net's results: each case is scored by the fold that has not trained on it."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.comparison.comparability import shown
from nnunet_mamba.comparison.scored_model import ScoredModel
from nnunet_mamba.data.formats.dataset_json import read_dataset_json
from nnunet_mamba.data.splits.split_files import SPLITS_FILE, read_splits
from nnunet_mamba.data.splits.validated_cases import other_validation
from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure
from nnunet_mamba.evaluation.folders import evaluate_folders
from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
from nnunet_mamba.results.confusion import ScoredCase
from nnunet_mamba.results.layout import ALL, SUMMARY, fold_name, fold_of, validation_folder, validation_summary
from nnunet_mamba.results.model_choice import find_dataset_name
from nnunet_mamba.results.phases import Phase, phase_of
from nnunet_mamba.results.summaries import read_summary
from nnunet_mamba.results.trained_model import TrainedModel
from nnunet_mamba.system.counts import how_many
from nnunet_mamba.system.nnunet_folders import nnunet_folder, nnunet_folder_if_set

_PHASES = {"new": "not begun", "begun": "not trained to its end", "trained": "not validated"}
# Between the parts of a training's folder.
_PARTS = "__"


@dataclass(frozen=True, kw_only=True)
class TrainingsRequest:
    """Which trainings are compared, and by what.

    Args:
        dataset: "Dataset101_ISIC" or "101".
        trainers: as given to ``-tr``, or the whole name TRAINER__PLANS__CONFIGURATION where that does not tell.
        configuration: as given to ``-c``; None fits any.
        folds: to compare; None takes all of the split.
        distances: to measure in the label maps of the validations; None reads nnU-Net's counts alone.
        processes: how many processes measure; None takes one per core.
        progress: show it on standard error.
    """

    dataset: str
    trainers: Sequence[str]
    configuration: str | None = None
    folds: Sequence[str] | None = None
    distances: DistanceMeasure | None = None
    processes: int | None = None
    progress: bool = False


def read_trainings(request: TrainingsRequest) -> list[ScoredModel]:
    """Return the trainings with the validation cases of all their folds.

    Args:
        request: which ones.

    Raises:
        FileNotFoundError: a data set, a training, a validation or label maps are missing; says which.
        ValueError: a name fits several trainings, folds are unfinished, or a file is damaged; says which.
    """
    trainings, folds = find_trainings(request)
    trainers = [training.name.trainer for training in trainings]
    return [
        _read_training(
            training,
            folds,
            request,
            name=str(training.name) if trainers.count(training.name.trainer) > 1 else training.name.trainer,
        )
        for training in trainings
    ]


def find_trainings(request: TrainingsRequest) -> tuple[list[TrainedModel], list[str]]:
    """Return the trainings that are compared, and their folds, without reading a score.

    Args:
        request: which ones.

    Raises:
        FileNotFoundError: a data set or a training are missing, or there is no fold; says which.
        ValueError: a name fits several trainings, or folds are unfinished; says which.
    """
    results = nnunet_folder("nnUNet_results")
    folder = results / find_dataset_name(results, request.dataset)
    trainings = [_find_training(folder, name, request.configuration) for name in request.trainers]
    if len(set(trainings)) < len(trainings):
        raise ValueError(f"`trainers` {','.join(request.trainers)} names one training twice; name two different ones")
    folds = list(request.folds) if request.folds is not None else _folds_of_split(trainings)
    refuse_fold_all(folds)
    _refuse_unfinished(trainings, folds)
    return trainings, folds


def refuse_fold_all(folds: Sequence[str]) -> None:
    """Raise if the fold of all cases is among some.

    Args:
        folds: as they were named.

    Raises:
        ValueError: it is.
    """
    if ALL in folds:
        raise ValueError(
            "`folds` names the fold all, which is validated with the cases that it was trained with: a score on them "
            "tells nothing; compare numbered folds"
        )


def _find_training(dataset: Path, name: str, configuration: str | None) -> TrainedModel:
    """Return the training of a name; the folders of its folds may be missing."""
    models = [TrainedModel.of(path) for path in sorted(dataset.glob(f"[!.]*{_PARTS}*{_PARTS}*")) if path.is_dir()]
    found = [
        model
        for model in models
        if str(model.name) == name or (model.name.trainer == name and configuration in (None, model.name.configuration))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        listed = "\n  ".join(str(model.name) for model in found)
        raise ValueError(
            f"{len(found)} trainings in {dataset} fit {name}; choose with `configuration`, or give the whole name:\n"
            f"  {listed}"
        )
    asked = name if configuration is None else f"{name} with configuration {configuration}"
    known = "\n  ".join(str(model.name) for model in models) or "none"
    raise FileNotFoundError(f"no training of {asked} in {dataset}. There are:\n  {known}")


def _folds_of_split(trainings: Sequence[TrainedModel]) -> list[str]:
    """Return the folds of the data set's split; those that were begun where the split is not there."""
    preprocessed = nnunet_folder_if_set("nnUNet_preprocessed")
    if preprocessed is not None and (splits := preprocessed / trainings[0].dataset / SPLITS_FILE).is_file():
        return [str(fold) for fold in range(len(read_splits(splits)))]
    begun = {fold_of(path) for training in trainings for path in training.folder.glob(fold_name("*"))}
    return sorted((fold for fold in begun if fold is not None and fold.isdigit()), key=int)


def _refuse_unfinished(trainings: Sequence[TrainedModel], folds: Sequence[str]) -> None:
    if not folds:
        raise FileNotFoundError(
            f"{trainings[0].folder} has no fold; train the folds first, nnunet-mamba crossval does all of them"
        )
    phases = {(training, fold): phase_of(training.fold(fold)) for training in trainings for fold in folds}
    unfinished = {
        (str(training.name), fold): _told_phase(training.fold(fold), phase)
        for (training, fold), phase in phases.items()
        if phase != "complete"
    }
    if not unfinished:
        return
    listed = "\n  ".join(f"{name}: fold {fold} is {what}" for (name, fold), what in unfinished.items())
    finished = [fold for fold in folds if not any(fold == there for _, there in unfinished)]
    choice = f", or compare the finished ones with `folds={','.join(finished)!r}`" if finished else ""
    raise ValueError(
        f"{how_many(len(unfinished), 'fold is', 'folds are')} unfinished; finish "
        f"{'it' if len(unfinished) == 1 else 'them'}{choice}:\n  {listed}"
    )


def _told_phase(fold: Path, phase: Phase) -> str:
    summary = validation_summary(fold)
    if phase == "trained" and summary.is_file():
        return f"not validated by this nnU-Net: {summary} is damaged, or of another version; validate it again"
    return _PHASES[phase]


def _read_training(
    training: TrainedModel, folds: Sequence[str], request: TrainingsRequest, *, name: str
) -> ScoredModel:
    if not training.dataset_json_file.is_file():
        raise FileNotFoundError(
            f"{training.dataset_json_file} is not there, where each training of nnU-Net writes one; copy that of "
            f"{training.dataset} in nnUNet_raw"
        )
    dataset = read_dataset_json(training.dataset_json_file)
    cases: list[ScoredCase] = []
    fold_by_case: dict[str, str] = {}
    measured: list[MeasuredDistances] = []
    for fold in folds:
        found: Sequence[ScoredCase]
        if request.distances is None:
            found = read_summary(validation_summary(training.fold(fold)), names=dataset.labels.names)
        else:
            found, distances = _measured(training, fold, request)
            measured.append(distances)
        if repeated := [case.identifier for case in found if case.identifier in fold_by_case]:
            raise ValueError(
                f"{training.folder}: {how_many(len(repeated), 'case')} of fold {fold} "
                f"{'is' if len(repeated) == 1 else 'are'} validated by an earlier fold too ({shown(repeated)}); name "
                "the folds of one split with `folds`"
            )
        cases += found
        fold_by_case |= {case.identifier: fold for case in found}
    _refuse_mixed_labels(training.folder, cases, fold_by_case)
    _refuse_other_validation(training, folds, fold_by_case)
    return ScoredModel(
        name=name,
        place=training.folder,
        cases=sorted(cases, key=lambda case: case.identifier),
        distances=_joined(measured, training.folder),
        labels=dataset.labels.values,
        folds=fold_by_case,
    )


def _refuse_other_validation(training: TrainedModel, folds: Sequence[str], fold_by_case: Mapping[str, str]) -> None:
    validated = {fold: [name for name, each in fold_by_case.items() if each == fold] for fold in folds}
    if problem := other_validation(training.dataset, validated):
        raise ValueError(f"{training.folder}: {problem}. Or leave the training out")


def _refuse_mixed_labels(folder: Path, cases: Sequence[ScoredCase], folds: Mapping[str, str]) -> None:
    for case in cases:
        if case.confusions.keys() != cases[0].confusions.keys():
            here, there = (
                f"{each.identifier} (fold {folds[each.identifier]}) for {', '.join(each.confusions) or 'nothing'}"
                for each in (cases[0], case)
            )
            raise ValueError(f"{folder}: {here} and {there} are scored for other labels; validate both folds again")


def _measured(
    training: TrainedModel, fold: str, request: TrainingsRequest
) -> tuple[Sequence[ScoredCase], MeasuredDistances]:
    predictions = validation_folder(training.fold(fold))
    validated = {case.identifier for case in read_summary(validation_summary(training.fold(fold)))}
    # The summary that nnU-Net wrote stays as it is.
    with tempfile.TemporaryDirectory() as scratch:
        done = evaluate_folders(
            predictions,
            reference_folder(training.dataset),
            training.dataset_json_file,
            output=Path(scratch),
            allow_missing=True,
            processes=request.processes,
            progress=request.progress,
            distances=request.distances,
        )
    assert done.distances is not None
    _refuse_other_label_maps(predictions, {case.identifier for case in done.cases}, validated)
    return done.cases, done.distances


def _refuse_other_label_maps(predictions: Path, found: Collection[str], validated: Collection[str]) -> None:
    """Raise unless the label maps of a validation are those that nnU-Net has scored.

    Args:
        predictions: folder of the label maps.
        found: their cases.
        validated: the cases of its summary.json.
    """
    missing, added = set(validated) - set(found), set(found) - set(validated)
    parts = [
        f"{how_many(len(names), *what)} ({shown(names)})"
        for what, names in (
            ((f"case of its {SUMMARY} has no label map", f"cases of its {SUMMARY} have no label map"), missing),
            ((f"label map is not in its {SUMMARY}", f"label maps are not in its {SUMMARY}"), added),
        )
        if names
    ]
    if parts:
        raise ValueError(
            f"{predictions}: {' and '.join(parts)}, and distances are measured in label maps: the scores would be of "
            "other cases; validate the fold again, or do without distances"
        )


def reference_folder(dataset: str) -> Path:
    """Return the folder of a data set's label maps, which nnU-Net copies when it plans.

    Args:
        dataset: name of its folder.

    Raises:
        FileNotFoundError: they are not there.
    """
    places = [
        root / dataset / name
        for variable, name in (("nnUNet_preprocessed", "gt_segmentations"), ("nnUNet_raw", "labelsTr"))
        if (root := nnunet_folder_if_set(variable)) is not None
    ]
    if (found := next((place for place in places if place.is_dir()), None)) is not None:
        return found
    raise FileNotFoundError(
        f"the label maps of {dataset} are not there ({' nor '.join(map(str, places)) or 'nnUNet_raw is not set'}), and "
        "distances are measured in them; set nnUNet_raw, or do without distances"
    )


def _joined(measured: Sequence[MeasuredDistances], folder: Path) -> MeasuredDistances | None:
    if not measured:
        return None
    if len({each.unit for each in measured}) > 1:
        raise ValueError(
            f"the label maps of some folds in {folder} tell a spacing and those of others none: distances in mm and in "
            "pixels cannot be compared; validate the folds again"
        )
    by_case = {identifier: each for part in measured for identifier, each in part.by_case.items()}
    return MeasuredDistances(by_case=by_case, measure=measured[0].measure, unit=measured[0].unit)
