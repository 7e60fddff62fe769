"""From what the user asks for to the runs of a cross-validation, checked before anything runs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from nnunet_mamba.crossval.attempt import TrainingOptions
from nnunet_mamba.crossval.nnunet_side import prepare
from nnunet_mamba.crossval.runs import Run
from nnunet_mamba.crossval.selection import (
    find_dataset,
    pair_models,
    parse_folds,
    refuse_missing_device,
    refuse_other_splits,
    refuse_teacher_of_other_folds,
    refuse_two_seeds,
    repeated_trainers,
)
from nnunet_mamba.crossval.status import Status, statuses_of
from nnunet_mamba.system.nnunet_folders import nnunet_folder, nnunet_folder_if_set


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks for.

    Args:
        dataset: name or number of a preprocessed data set.
        configuration: "2d", "3d_fullres", …
        trainers: class names.
        repeats: number of seeds that each of them trains with; None for once, with the seed that it has, if any.
        plans: names of plans, or "own" alone.
        folds: such as "0-4" or "all".
        device: "cpu" or "cuda"; None takes CUDA where there is a device.
        npz: keep the probabilities of the validation cases.
        executor: "local" or "slurm".
        n_slurm_gpus: that each job asks Slurm for.
    """

    dataset: str
    configuration: str
    trainers: Sequence[str]
    repeats: int | None
    plans: Sequence[str]
    folds: str
    device: str | None
    npz: bool
    executor: str
    n_slurm_gpus: int


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """The runs of a cross-validation.

    Args:
        statuses: how far each run is.
        options: of all trainings.
        n_gpus: of this machine that may train.
        notices: sentences for the user about plans that do not suit a trainer.
    """

    statuses: Sequence[Status]
    options: TrainingOptions
    n_gpus: int
    notices: Sequence[str]

    @property
    def n_open(self) -> int:
        """How many runs are not over."""
        return sum(not status.is_over for status in self.statuses)


def prepare_cross_validation(request: Request) -> CrossValidation:
    """Check what the user asks for, and look how far the runs are.

    Raises:
        ValueError: something is missing, unknown or does not fit.
        ChildProcessError: nnU-Net cannot be asked.
    """
    if os.name != "posix":
        raise ValueError("nnunet-mamba crossval needs Linux or macOS; train the folds with nnUNetv2_train")
    preprocessed, results = nnunet_folder("nnUNet_preprocessed"), nnunet_folder("nnUNet_results").absolute()
    # The trainings read it, and splits may lie there.
    nnunet_folder_if_set("nnUNet_raw")
    dataset = find_dataset(request.dataset, preprocessed)
    trainers = repeated_trainers(request.trainers, request.repeats)
    refuse_two_seeds(trainers)
    models = pair_models(trainers, request.plans, preprocessed / dataset)
    plan_names = list(dict.fromkeys(plans for _, plans in models))
    found = prepare(preprocessed / dataset, request.configuration, plans=plan_names, trainers=trainers)
    refuse_missing_device(
        request.device, executor=request.executor, n_gpus=found.n_gpus, n_slurm_gpus=request.n_slurm_gpus
    )
    folds = parse_folds(request.folds, found.n_folds)
    refuse_teacher_of_other_folds(found.teacher_fold, folds)
    runs = [
        Run(
            dataset=dataset,
            configuration=request.configuration,
            trainer=trainer,
            plans=plans,
            fold=fold,
            results=results,
        )
        for trainer, plans in models
        for fold in folds
    ]
    refuse_other_splits(runs)
    n_gpus = 0 if request.device == "cpu" else found.n_gpus
    return CrossValidation(
        statuses=statuses_of(runs, npz=request.npz, teachers=found.teachers),
        options=_options(request, n_gpus),
        n_gpus=n_gpus,
        # All seeds of a trainer have the same.
        notices=list(dict.fromkeys(found.notices[model] for model in models if model in found.notices)),
    )


def _options(request: Request, n_gpus: int) -> TrainingOptions:
    if request.executor == "local":
        return TrainingOptions(device=request.device or ("cuda" if n_gpus else "cpu"), npz=request.npz)
    # Clusters may start jobs with another environment.
    variables = {name: value for name, value in os.environ.items() if name.lower().startswith("nnunet")}
    device = request.device or ("cuda" if request.n_slurm_gpus else "cpu")
    return TrainingOptions(device=device, npz=request.npz, variables=variables)
