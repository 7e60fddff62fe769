"""The teacher of a distillation: find its checkpoint, and build its network from it."""

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

from nnunet_mamba.data.formats.dataset_json import IGNORE
from nnunet_mamba.models.bundles.reading import is_bundle
from nnunet_mamba.models.nnunet.architecture_names import refuse_other_than_layers
from nnunet_mamba.models.nnunet.checkpoint_reading import CodeInCheckpointError, read_checkpoint
from nnunet_mamba.networks.wrappers import without_wrappers
from nnunet_mamba.results.checkpoints import FINAL
from nnunet_mamba.results.layout import ModelName, fold_name
from nnunet_mamba.results.trained_model import TrainedModel, finished_models
from nnunet_mamba.system.nnunet_folders import unexpanded
from nnunet_mamba.trainer_name import TrainerName
from nnunet_mamba.training.distillation.bundled_teacher import BundledTeacher, teacher_bundle

TEACHER_VARIABLE = "NNUNET_MAMBA_TEACHER"
# Of an epoch of nnU-Net's.
_ITERATIONS = 250
# What a checkpoint's init_args tell of the training that wrote it.
_ORIGIN = {"plans": Mapping, "configuration": str, "dataset_json": Mapping, "fold": int | str}
# What nnU-Net raises for plans and dataset.json that are not complete.
_SENSELESS = (ArithmeticError, LookupError, TypeError, AttributeError, ValueError, RuntimeError, AssertionError)


def find_teacher(student: nnUNetTrainer, teacher_trainer: str) -> Path:
    """Return the checkpoint of the student's teacher, or the model file that it is.

    ``NNUNET_MAMBA_TEACHER`` names it: a checkpoint, a fold's folder, or the folder of all folds, which holds that of
    the student's fold; or a model file, or a model that comes with nnunet-mamba. Without the variable it is the only
    finished training of ``teacher_trainer`` on the student's data set, configuration and fold, with any recipe and
    at least the student's budget but no variant, and with the student's plans; if there is none, with other plans for
    the same preprocessed data. Those whose names have the student's seed, or like the student's none, come before all
    others; and where the student's name has a recipe or a budget, those with the same.

    Args:
        student: the trainer that needs a teacher.
        teacher_trainer: name of a bundled trainer.

    Raises:
        FileNotFoundError: there is none; says where it should be and how to make one.
        ValueError: several trainings fit, or those that are there were shorter than the student's is; names them.
    """
    if named := os.environ.get(TEACHER_VARIABLE):
        if (bundle := teacher_bundle(named)) is not None:
            return bundle.absolute()
        return _named_checkpoint(named_teacher(named), student.fold)
    plans, configuration = student.plans_manager.plans_name, student.configuration_name
    results = Path(student.output_folder_base).parent
    trained = [
        model
        for model in finished_models(results)
        if str(student.fold) in model.finished_folds()
        and model.name.configuration == configuration
        and _is_of(model.name.trainer, teacher_trainer)
    ]
    identifier = student.configuration_manager.data_identifier
    name = TrainerName.parse(type(student).__name__)
    shorter = [model for model in trained if _n_steps(TrainerName.parse(model.name.trainer)) < _n_steps(name)]
    trained = [model for model in trained if model not in shorter]
    of_seed = [model for model in trained if TrainerName.parse(model.name.trainer).seed == name.seed]
    found = _of_plans(of_seed, plans, identifier) or _of_plans(trained, plans, identifier)
    found = _trained_alike(found, name) or found
    if len(found) > 1:
        raise ValueError(
            f"{len(found)} trainings can be the teacher of {type(student).__name__}. Choose one:\n{_choice(found)}"
        )
    if not found and shorter:
        # A trial of one epoch must not teach a whole training unnoticed.
        alike = replace(name, base=teacher_trainer, variant=None, deep=False)
        raise ValueError(
            f"{type(student).__name__} needs a teacher that was trained as long as itself, and all that are there were "
            f"trained for less. Train {alike} first, or choose one of them all the same:\n{_choice(shorter)}"
        )
    if not found:
        raise _missing(student, str(TrainerName(base=teacher_trainer, seed=name.seed)), teacher_trainer)
    return found[0].fold(student.fold) / FINAL


def _missing(student: nnUNetTrainer, wanted: str, teacher_trainer: str) -> FileNotFoundError:
    """Return the error of a student without a teacher; ``wanted`` is the trainer that it asks for."""
    plans, configuration = student.plans_manager.plans_name, student.configuration_name
    results = Path(student.output_folder_base).parent
    name = ModelName(trainer=wanted, plans=plans, configuration=configuration)
    folder = results / str(name) / fold_name(student.fold)
    command = f"nnUNetv2_train {results.name} {configuration} {student.fold} -tr {wanted} -p {plans}"
    return FileNotFoundError(
        f"{type(student).__name__} needs a trained teacher, and there is no {folder / FINAL}, nor one of "
        f"{teacher_trainer}_… with another recipe, budget or seed, nor with other plans for the same preprocessed "
        f"data. Train it first:\n  {command}\n"
        f"or name another one, by the folder that holds its folds, a fold's folder or a checkpoint:\n"
        f"  export {TEACHER_VARIABLE}=/path"
    )


def _choice(models: Sequence[TrainedModel]) -> str:
    # The folder of all folds: a single fold would teach all students, among them those that it must not teach.
    return "\n".join(f"  export {TEACHER_VARIABLE}={shlex.quote(str(model.folder))}" for model in models)


def _n_steps(name: TrainerName) -> float:
    """Return how many steps a name's budget has; without one it has as many as its recipe, more than any trial."""
    return math.inf if name.epochs is None else name.epochs * (name.iterations or _ITERATIONS)


def _is_of(trainer: str, teacher_trainer: str) -> bool:
    """Return whether a trainer, with its suffixes, trains the teacher's own network: no variant of it does."""
    parts = TrainerName.parse(trainer)
    return parts.base == teacher_trainer and parts.variant is None


def named_teacher(value: str) -> Path:
    """Return the full path that ``NNUNET_MAMBA_TEACHER`` names, whether anything is there or not.

    Args:
        value: of the variable.

    Raises:
        ValueError: it is a path that only a shell understands.
    """
    if (what := unexpanded(value)) is not None:
        raise ValueError(f"{TEACHER_VARIABLE}={value!r}: {what}. Give the full path: export {TEACHER_VARIABLE}=/path")
    return Path(value).absolute()


def _of_plans(models: Sequence[TrainedModel], plans: str, identifier: str) -> list[TrainedModel]:
    """Return the models with these plans; if there is none, those with others for the same preprocessed data."""
    return [model for model in models if model.name.plans == plans] or [
        model for model in models if _was_trained_on(model, identifier)
    ]


def _trained_alike(models: Sequence[TrainedModel], student: TrainerName) -> list[TrainedModel]:
    """Return the models whose names have the recipe and budget of the student's; none if that has neither."""
    if student.recipe is None and student.epochs is None:
        return []
    names = [TrainerName.parse(model.name.trainer) for model in models]
    wanted = (student.recipe, student.epochs, student.iterations)
    return [
        model
        for model, name in zip(models, names, strict=True)
        if (name.recipe, name.epochs, name.iterations) == wanted
    ]


def _was_trained_on(model: TrainedModel, identifier: str) -> bool:
    """Return whether a model was trained on these preprocessed data; False if its plans do not tell."""
    try:
        return model.data_identifier() == identifier
    except (OSError, ValueError):
        return False


def _named_checkpoint(path: Path, fold: int | str) -> Path:
    checkpoint = path / FINAL if path.is_dir() else path
    of_same_fold = path / fold_name(fold) / FINAL
    if of_same_fold.is_file() and not checkpoint.is_file():
        return of_same_fold
    if not checkpoint.is_file():
        raise FileNotFoundError(
            f"{TEACHER_VARIABLE} names {path}, and there is no file {checkpoint}, nor {of_same_fold}. It must name a "
            f"checkpoint, the folder of a fold whose training has ended and left {FINAL}, the one above it, a file of "
            "nnunet-mamba pack-model, or a model that comes along."
        )
    return checkpoint


def load_teacher(checkpoint: Path, student: nnUNetTrainer) -> nn.Module:
    """Return the network of a checkpoint, ready to teach: one output, on the student's device, never to be trained.

    Its own trainer builds it, so it may be of any trainer that nnU-Net finds. That of a model file needs none.

    Args:
        checkpoint: written by nnU-Net, or a model file; nothing in it is run.
        student: an initialised trainer.

    Raises:
        ValueError: it is not such a file, or its network is for other labels, channels or patches.
        CodeInCheckpointError: it asks for more than nnU-Net's checkpoints hold.
    """
    if is_bundle(checkpoint):
        return _ready(_bundled_network(checkpoint, student), student)
    stored = _read(checkpoint)
    origin = stored["init_args"]
    try:
        plans_manager = PlansManager(origin["plans"])
        configuration = plans_manager.get_configuration(origin["configuration"])
        labels = plans_manager.get_label_manager(origin["dataset_json"])
        n_channels = determine_num_input_channels(plans_manager, configuration, origin["dataset_json"])
        n_axes = len(configuration.patch_size)
    except _SENSELESS as error:
        raise ValueError(
            f"The teacher {checkpoint} is not a checkpoint of nnU-Net: its plans or dataset_json in init_args are not "
            f"complete ({type(error).__name__}: {error})"
        ) from error
    _refuse_other_data(
        checkpoint,
        student,
        (
            ("labels", _labels(origin["dataset_json"]), _labels(student.dataset_json)),
            ("input channels", n_channels, student.num_input_channels),
            ("patch axes", n_axes, len(student.configuration_manager.patch_size)),
        ),
    )
    if plans_manager.dataset_name == student.plans_manager.dataset_name:
        _tell_of_shared_cases(origin["fold"], student)
    refuse_other_than_layers(configuration.configuration, f"The teacher {checkpoint}")
    trainer = _trainer_of(checkpoint, stored["trainer_name"])
    try:
        network: nn.Module = trainer.build_network_architecture(
            plans_manager, configuration, n_channels, labels.num_segmentation_heads, enable_deep_supervision=False
        )
    except (*_SENSELESS, ImportError, NotImplementedError) as error:
        raise ValueError(
            f"The teacher {checkpoint} has plans with which {stored['trainer_name']} cannot build a network "
            f"({type(error).__name__}: {error}). Name another one"
        ) from error
    try:
        network.load_state_dict(without_wrappers(stored["network_weights"]))
    except RuntimeError as error:
        # torch lists every key; one tells enough.
        lines = [line.strip() for line in str(error).splitlines()]
        raise ValueError(
            f"The teacher {checkpoint} has weights that are not those of the network that {stored['trainer_name']} "
            f"builds: {' '.join(lines[1:2])[:300]}"
        ) from error
    return _ready(network, student)


def _ready(network: nn.Module, student: nnUNetTrainer) -> nn.Module:
    return network.to(student.device).eval().requires_grad_(False)


def _bundled_network(bundle: Path, student: nnUNetTrainer) -> nn.Module:
    teacher = BundledTeacher(bundle, student.fold)
    n_channels, n_axes = teacher.form
    _refuse_other_data(
        bundle,
        student,
        (
            ("labels", _labels(dict(teacher.dataset_json)), _labels(student.dataset_json)),
            ("input channels", n_channels, student.num_input_channels),
            ("patch axes", n_axes, len(student.configuration_manager.patch_size)),
        ),
    )
    if teacher.dataset == student.plans_manager.dataset_name:
        _tell_of_shared_cases(teacher.fold, student)
    return teacher.network()


def _refuse_other_data(
    checkpoint: Path, student: nnUNetTrainer, compared: tuple[tuple[str, object, object], ...]
) -> None:
    differences = [f"{what} {its} instead of {wanted}" for what, its, wanted in compared if its != wanted]
    if differences:
        raise ValueError(
            f"The teacher {checkpoint} does not fit the data of {type(student).__name__}: it has "
            f"{' and '.join(differences)}. Name one that was trained on data of this form: {TEACHER_VARIABLE}=/path."
        )


def _tell_of_shared_cases(fold: int | str, student: nnUNetTrainer) -> None:
    if str(fold) != str(student.fold) != "all":
        student.print_to_log_file(
            f"The teacher is of fold {fold}: it may have been trained on cases that fold {student.fold} validates "
            "with, so that the student's validation is not on unseen cases."
        )


def _trainer_of(checkpoint: Path, name: str) -> type[nnUNetTrainer]:
    try:
        trainer: type[nnUNetTrainer] = recursive_find_trainer_class_by_name(name)
    # What nnU-Net raises for a name of something else than a trainer.
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            f"The teacher {checkpoint} was trained by {name!r}, and nnU-Net finds no trainer of that name here. "
            "Install it, or name another teacher"
        ) from error
    return trainer


def _read(checkpoint: Path) -> dict[str, Any]:
    try:
        stored = read_checkpoint(checkpoint, entries=("trainer_name", "init_args", "network_weights"))
    except CodeInCheckpointError:
        raise
    except ValueError as error:
        raise ValueError(f"The teacher {error}. Name a checkpoint of a training, such as a fold's {FINAL}") from error
    lacking = [name for name, kind in _ORIGIN.items() if not isinstance(stored["init_args"].get(name), kind)]
    if lacking or not isinstance(stored["trainer_name"], str):
        what = f"its init_args have no {' and no '.join(lacking)}" if lacking else "its trainer_name is no name"
        raise ValueError(f"The teacher {checkpoint} is not a checkpoint of nnU-Net, such as a fold's {FINAL}: {what}")
    return stored


def _labels(dataset_json: dict[str, Any]) -> dict[str, Any]:
    """Return what decides the outputs of a network; the label that is ignored has none."""
    labels = {name: values for name, values in dataset_json["labels"].items() if name != IGNORE}
    order = dataset_json.get("regions_class_order")
    return labels if order is None else {**labels, "regions_class_order": order}
