"""Gather what a report of a data set shows: finished trainings, their scores and logs, and which belong together."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nnunet_mamba.comparison.comparability import refuse_incomparable
from nnunet_mamba.comparison.finished_trainings import (
    TrainingsRequest,
    find_trainings,
    read_trainings,
    refuse_fold_all,
)
from nnunet_mamba.comparison.scored_model import ScoredModel
from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure
from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
from nnunet_mamba.report.contents.reported_model import ReportedModel
from nnunet_mamba.results.layout import ModelName, fold_of
from nnunet_mamba.results.model_choice import find_dataset_name
from nnunet_mamba.results.phases import phase_of
from nnunet_mamba.results.trained_model import TrainedModel, finished_models
from nnunet_mamba.results.training_logs import Epoch, read_training_log, training_logs
from nnunet_mamba.system.counts import numbered
from nnunet_mamba.system.nnunet_folders import nnunet_folder
from nnunet_mamba.trainer_name import TrainerName


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """Which trainings a report shows.

    Args:
        dataset: "Dataset101_ISIC" or "101".
        trainers: as given to ``-tr``, or TRAINER__PLANS__CONFIGURATION; None takes all that have finished. A name
            without a seed means all of its seeds where there is no training of that very name.
        configuration: as given to ``-c``; None fits any.
        folds: None takes all of the split.
        distances: to measure in the label maps; None shows none.
        paper_distances: to measure beside them, as the papers do whose rows are shown; None measures none.
        processes: how many processes measure; None takes one per core.
        progress: show it on standard error.
    """

    dataset: str
    trainers: Sequence[str] | None = None
    configuration: str | None = None
    folds: Sequence[str] | None = None
    distances: DistanceMeasure | None = None
    paper_distances: DistanceMeasure | None = None
    processes: int | None = None
    progress: bool = False


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """What was found.

    Args:
        dataset: name of the data set's folder.
        models: in the order of the request.
        folds: that are shown.
        left_out: trainings that are there and cannot be shown, each with the reason.
    """

    dataset: str
    models: Sequence[ReportedModel]
    folds: Sequence[str]
    left_out: Sequence[str] = ()


def gather(request: ReportRequest) -> Gathered:
    """Read the trainings of a data set.

    Args:
        request: which ones.

    Raises:
        FileNotFoundError: the data set, a training or a validation are missing; says which.
        ValueError: a name fits several trainings, folds are unfinished, or a file is damaged; says which.
    """
    wanted, left_out = _wanted(request)
    trainings = read_trainings(wanted)
    measured = {}
    if request.paper_distances is not None:
        again = read_trainings(replace(wanted, distances=request.paper_distances))
        measured = {each.place: each.distances for each in again if each.distances is not None}
    shown = sorted(set(trainings[0].folds.values()), key=int)
    return Gathered(dataset=wanted.dataset, models=_grouped(trainings, measured), folds=shown, left_out=left_out)


def shown_trainings(request: ReportRequest) -> tuple[list[TrainedModel], list[str]]:
    """Return the trainings that a report shows, and their folds, without reading a score.

    Args:
        request: which ones.

    Raises:
        FileNotFoundError: the data set or a training are missing, or none has finished; says which.
        ValueError: a name fits several trainings, or folds are unfinished; says which.
    """
    return find_trainings(_wanted(request)[0])


def _wanted(request: ReportRequest) -> tuple[TrainingsRequest, list[str]]:
    """Return the trainings to read, and in words those that are there and cannot be shown."""
    refuse_fold_all(request.folds or ())
    results = nnunet_folder("nnUNet_results")
    folder = results / find_dataset_name(results, request.dataset)
    there = [model for model in finished_models(folder) if request.configuration in (None, model.name.configuration)]
    left_out: list[str] = []
    folds = request.folds
    if request.trainers is None:
        complete, folds, left_out = _complete(there, request.folds)
        chosen = [str(model.name) for model in complete]
        if not chosen:
            listed = "".join(f"\n  {each}" for each in left_out) or " none"
            raise FileNotFoundError(
                f"no training in {folder} has finished and validated all of its folds; nnunet-mamba crossval trains "
                f"them, and `folds` reports on some. There are:{listed}"
            )
    else:
        chosen = [found for name in request.trainers for found in _asked_for(name, there)]
    wanted = TrainingsRequest(
        dataset=folder.name,
        trainers=chosen,
        configuration=request.configuration,
        folds=folds,
        distances=request.distances,
        processes=request.processes,
        progress=request.progress,
    )
    return wanted, left_out


def _asked_for(name: str, there: Sequence[TrainedModel]) -> list[str]:
    """Return the seeds of a trainer that is named without one; else the name, which reading resolves or refuses."""
    if any(name in (model.name.trainer, str(model.name)) for model in there):
        return [name]
    if _has_seed(name):
        return [name]
    seeds = [(model, _without_seed(model.name)) for model in there]
    return [str(model.name) for model, bare in seeds if name in (bare.trainer, str(bare))] or [name]


def _has_seed(name: str) -> bool:
    try:
        trainer = ModelName.parse(name).trainer
    except ValueError:
        trainer = name
    return TrainerName.parse(trainer).seed is not None


def _without_seed(name: ModelName) -> ModelName:
    return replace(name, trainer=_trainer_without_seed(name.trainer))


def _trainer_without_seed(trainer: str) -> str:
    parts = TrainerName.parse(trainer)
    # Written anew, the name of a trainer of nnU-Net's would be another: its budget may be in the singular.
    return trainer if parts.seed is None else str(replace(parts, seed=None))


def _complete(
    there: Sequence[TrainedModel], folds: Sequence[str] | None
) -> tuple[list[TrainedModel], list[str], list[str]]:
    """Return the trainings with as many complete folds as any, these folds, and in words the other trainings."""
    complete = {
        str(model.name): {
            fold for fold in model.finished_folds() if fold.isdigit() and phase_of(model.fold(fold)) == "complete"
        }
        for model in there
    }
    wanted = set(folds) if folds is not None else max(complete.values(), key=len, default=set())
    chosen = [model for model in there if wanted and wanted <= complete[str(model.name)]]
    others = [
        f"{name}: of folds {', '.join(sorted(wanted, key=int))}, {_complete_folds(wanted & found)} complete"
        for name, found in complete.items()
        if not (wanted and wanted <= found)
    ]
    return chosen, sorted(wanted, key=int), others


def _complete_folds(folds: Collection[str]) -> str:
    if not folds:
        return "none is"
    return f"{numbered('fold', sorted(folds, key=int))} alone {'is' if len(folds) == 1 else 'are'}"


def _grouped(
    trainings: Sequence[ScoredModel], paper_distances: Mapping[Path, MeasuredDistances]
) -> list[ReportedModel]:
    """Return trainings that differ in their seed alone as one model.

    Raises:
        ValueError: seeds of one model were not scored on the same cases, folds, labels and references.
    """
    groups: dict[str, list[ScoredModel]] = {}
    for training in trainings:
        groups.setdefault(str(_without_seed(TrainedModel.of(training.place).name)), []).append(training)
    for repeats in groups.values():
        if len(repeats) > 1:
            refuse_incomparable(repeats)
    trainers = [ModelName.parse(name).trainer for name in groups]
    return [
        ReportedModel(
            name=name if trainers.count(trainer) > 1 else trainer,
            repeats=repeats,
            seeds=[_seed(each.place) for each in repeats],
            epochs=_epochs(repeats),
            paper_distances=[paper_distances[each.place] for each in repeats if paper_distances],
        )
        for (name, repeats), trainer in zip(groups.items(), trainers, strict=True)
    ]


def _seed(place: Path) -> int | None:
    return TrainerName.parse(TrainedModel.of(place).name.trainer).seed


def _epochs(repeats: Sequence[ScoredModel]) -> dict[str, Sequence[Epoch]]:
    """Return the epochs of each seed and fold, as its logs have them."""
    found: dict[str, Sequence[Epoch]] = {}
    for each in repeats:
        seed = _seed(each.place)
        for fold in sorted(set(each.folds.values()), key=int):
            folder = TrainedModel.of(each.place).fold(fold)
            assert fold_of(folder) == fold
            name = f"fold {fold}" if seed is None else f"seed {seed}, fold {fold}"
            if epochs := read_training_log(training_logs(folder)):
                found[name] = epochs
    return found
