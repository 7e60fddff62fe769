"""The trainings of an experiment as cross-validations of one fold, and what became of each."""

import math
import os
from collections.abc import Sequence

from nnunet_mamba.crossval.cross_validation import CrossValidation, Request, prepare_cross_validation
from nnunet_mamba.crossval.selection import OWN_PLANS
from nnunet_mamba.crossval.status import Status
from nnunet_mamba.reproduction.experiment import FOLD, PreparedData
from nnunet_mamba.reproduction.nnunet_planning import BASE_PLANS, CONFIGURATION
from nnunet_mamba.reproduction.planned_rows import PlannedTraining
from nnunet_mamba.reproduction.request import ReproductionRequest
from nnunet_mamba.results.layout import ModelName
from nnunet_mamba.results.phases import phase_of
from nnunet_mamba.results.trained_model import TrainedModel
from nnunet_mamba.results.training_logs import read_training_log, training_logs
from nnunet_mamba.system.nnunet_folders import nnunet_folder
from nnunet_mamba.training.plans_names import plans_name


def cross_validation(
    data: PreparedData,
    trainings: Sequence[PlannedTraining],
    request: ReproductionRequest,
    *,
    executor: str = "local",
    n_slurm_gpus: int = 0,
) -> CrossValidation:
    """Return the runs of some trainings, all seeds of which train and validate fold 0.

    Args:
        data: planned by nnU-Net.
        trainings: on these data, with plans of their own.
        request: of the run.
        executor: "local" or "slurm".
        n_slurm_gpus: that each job asks Slurm for.

    Raises:
        ValueError: something is missing or does not fit.
        ChildProcessError: nnU-Net cannot be asked.
    """
    return prepare_cross_validation(
        Request(
            dataset=data.folder_name,
            configuration=CONFIGURATION,
            trainers=[training.trainer for training in trainings],
            repeats=request.repeats,
            plans=[OWN_PLANS],
            folds=str(FOLD),
            device=request.device,
            npz=False,
            executor=executor,
            n_slurm_gpus=n_slurm_gpus,
        )
    )


def refuse_without_trainings() -> None:
    """Raise on a system where nothing can be trained, before hours of preparation.

    Raises:
        ValueError: it is neither Linux nor macOS.
    """
    if os.name != "posix":
        raise ValueError("nnunet-mamba reproduce trains on Linux and macOS alone; run the same command there")


def trained_models(training: PlannedTraining, repeats: int) -> list[TrainedModel]:
    """Return the repeats of a training that have trained and validated, in the order of their seeds.

    Args:
        training: on its data.
        repeats: number of seeds.
    """
    folder = nnunet_folder("nnUNet_results").absolute() / training.data.folder_name
    names = [
        ModelName(
            trainer=training.trainer_with(seed),
            plans=plans_name(training.trainer, BASE_PLANS),
            configuration=CONFIGURATION,
        )
        for seed in range(1, repeats + 1)
    ]
    models = [TrainedModel(folder=folder / str(name), name=name) for name in names]
    return [model for model in models if phase_of(model.fold(FOLD)) == "complete"]


def hours_of(models: Sequence[TrainedModel]) -> float:
    """Return how long trainings took by their own logs, validations not counted; nan where a log does not tell."""
    seconds = [epoch.seconds for model in models for epoch in read_training_log(training_logs(model.fold(FOLD)))]
    return sum(seconds) / 3600 if seconds else math.nan


def reasons_of(
    trainings: Sequence[PlannedTraining], statuses: Sequence[Status], repeats: int
) -> dict[PlannedTraining, str]:
    """Return why trainings have no result at all, in sentences.

    Args:
        trainings: of one data set.
        statuses: of their runs.
        repeats: number of seeds.
    """
    found = {}
    for training in trainings:
        if trained_models(training, repeats):
            continue
        own = [status for status in statuses if status.run.trainer_of_all_seeds == training.trainer]
        failed = next((status for status in own if status.state == "failed"), None)
        if failed is None:
            found[training] = "It has not been trained to its end yet."
        else:
            lines = failed.reason.splitlines() or ["It failed."]
            found[training] = f"Its training failed: {lines[0]} All of it is in {failed.run.log}."
    return found
