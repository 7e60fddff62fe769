"""Which trainings in nnU-Net's results an external test takes, with all repeats from other seeds and their folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.results.checkpoints import FINAL
from nnunet_mamba.results.layout import ALL, fold_name, fold_of
from nnunet_mamba.results.model_choice import find_dataset_name
from nnunet_mamba.results.trained_model import TrainedModel, is_results_folder
from nnunet_mamba.system.counts import how_many
from nnunet_mamba.trainer_name import TrainerName


@dataclass(frozen=True, kw_only=True)
class TrainingsRequest:
    """Which trainings are tested.

    Args:
        dataset: "Dataset101_ISIC" or "101".
        trainers: as given to ``-tr``; a name without a seed stands for its repeats from all seeds, too. None takes all.
        configuration: as given to ``-c``; None fits any, as with plans.
        plans: as given to ``-p``.
        folds: of each training; None takes all that are begun, "all" alone where there is no other.
        checkpoint_name: of a file in each fold's folder; the default is written when a training ends.
    """

    dataset: str
    trainers: Sequence[str] | None = None
    configuration: str | None = None
    plans: str | None = None
    folds: Sequence[str] | None = None
    checkpoint_name: str = FINAL


def find_trainings(results: Path, request: TrainingsRequest) -> list[tuple[TrainedModel, list[str]]]:
    """Return trainings and the folds to take of each.

    Args:
        results: ``$nnUNet_results``.
        request: which ones.

    Raises:
        FileNotFoundError: there is no such data set or training; tells those that there are.
        ValueError: folds have not ended; tells which.
    """
    folder = results / find_dataset_name(results, request.dataset)
    known = _trainings_in(folder)
    found = [training for training in known if _fits(training, request)]
    missing = [name for name in request.trainers or () if not any(_is_meant(name, one) for one in found)]
    if missing or not found:
        words = [*missing, *filter(None, (request.plans, request.configuration))]
        asked = f" of {' '.join(words)}" if words else ""
        listed = "\n  ".join(str(training.name) for training in known) or "none"
        raise FileNotFoundError(f"no training{asked} in {folder}. There are:\n  {listed}")
    folds = [(training, _folds(training, request)) for training in found]
    _refuse_unfinished(folds, request)
    return folds


def training_in(folder: Path, *, checkpoint_name: str = FINAL) -> tuple[TrainedModel, list[str]] | None:
    """Return the training of a folder and its folds; None if it is no folder of nnU-Net's results.

    Args:
        folder: any path.
        checkpoint_name: of a file in each fold's folder.

    Raises:
        ValueError: folds have not ended; tells which.
    """
    if not is_results_folder(folder):
        return None
    try:
        training = TrainedModel.of(folder.resolve())
    except ValueError:
        return None
    request = TrainingsRequest(dataset=training.dataset, checkpoint_name=checkpoint_name)
    found = (training, _folds(training, request))
    _refuse_unfinished([found], request)
    return found


def _trainings_in(dataset: Path) -> list[TrainedModel]:
    found = []
    for path in sorted(dataset.glob("[!.]*")):
        try:
            training = TrainedModel.of(path)
        except ValueError:
            continue
        if any(path.glob(fold_name("*"))):
            found.append(training)
    return found


def _fits(training: TrainedModel, request: TrainingsRequest) -> bool:
    return (
        request.configuration in (None, training.name.configuration)
        and request.plans in (None, training.name.plans)
        and (request.trainers is None or any(_is_meant(name, training) for name in request.trainers))
    )


def _is_meant(trainer: str, training: TrainedModel) -> bool:
    """Return whether a training is that of a trainer, or its repeat from a seed."""
    name = training.name.trainer
    return trainer in (name, str(TrainerName.parse(name).with_seed(None)))


def _folds(training: TrainedModel, request: TrainingsRequest) -> list[str]:
    if request.folds is not None:
        return list(request.folds)
    begun = [fold for path in training.folder.glob(fold_name("*")) if (fold := fold_of(path))]
    # That of all cases has seen what the others validate with, and is no fold of theirs.
    numbered = sorted((fold for fold in begun if fold.isdigit()), key=int)
    return numbered or [fold for fold in begun if fold == ALL]


def _refuse_unfinished(folds: Sequence[tuple[TrainedModel, Sequence[str]]], request: TrainingsRequest) -> None:
    ended = {training.folder: training.folds_with(request.checkpoint_name) for training, _ in folds}
    unfinished = [
        f"{training.name}: fold {fold}"
        for training, wanted in folds
        for fold in wanted
        if fold not in ended[training.folder]
    ]
    unfinished += [f"{training.name}: no fold" for training, wanted in folds if not wanted]
    if unfinished:
        listed = "\n  ".join(unfinished)
        raise ValueError(
            f"{how_many(len(unfinished), 'training has', 'trainings have')} no {request.checkpoint_name}; finish them, "
            f"or choose others with `folds` and `trainers`:\n  {listed}"
        )
