"""A model in a folder of nnU-Net's results, read without running what is in its checkpoints."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_mamba.data.formats.dataset_json import read_dataset_json
from nnunet_mamba.models.description import Licences, ModelDescription, TrainingData
from nnunet_mamba.models.kept_conversion import read_kept_conversion
from nnunet_mamba.models.model import Model
from nnunet_mamba.models.needed_plans import (
    check_dataset_json,
    check_mirror_axes,
    check_name,
    check_plans,
    n_input_channels,
    needed_dataset_json,
    needed_plans,
)
from nnunet_mamba.models.nnunet.checkpoint_reading import check_whole, read_checkpoint
from nnunet_mamba.models.nnunet.training_records import fold_record, training_record
from nnunet_mamba.models.planned_network import planned_network
from nnunet_mamba.models.shared_memory import copied_weights
from nnunet_mamba.networks.wrappers import without_wrappers
from nnunet_mamba.results.checkpoints import FINAL
from nnunet_mamba.results.layout import ALL, fold_name, fold_of
from nnunet_mamba.results.trained_model import DATASET_FILE, PLANS_FILE
from nnunet_mamba.system.checked_entries import Entry
from nnunet_mamba.system.json_files import read_json_object

if TYPE_CHECKING:
    from torch import Tensor

_NEEDED = ("network_weights", "trainer_name", "init_args")
_LARGE = ("network_weights", "optimizer_state", "grad_scaler_state")
_WAY_OUT = "expected what nnU-Net writes when a training begins"


def read_results(folder: Path, *, folds: Sequence[int | str] | None = None, checkpoint_name: str = FINAL) -> Model:
    """Read the description of a model in nnU-Net's results.

    Args:
        folder: ``TRAINER__PLANS__CONFIGURATION``; only what is in it counts, so it may have another name.
        folds: to take, each a number or "all"; None takes all numbered ones that have the checkpoint, or else "all".
        checkpoint_name: name of the file in each fold's folder.

    Raises:
        FileNotFoundError: a file of it is missing, or no fold has the checkpoint.
        NotADirectoryError: ``folder`` is a file.
        CodeInCheckpointError: a checkpoint asks for more than tensors and plain values.
        ValueError: a file is damaged, or makes no sense; names it.
    """
    if folder.is_file():
        raise NotADirectoryError(
            f"{folder} is a file, expected a folder TRAINER__PLANS__CONFIGURATION of nnU-Net's results; name the one "
            "that the model was trained in"
        )
    names = tuple(map(str, folds)) if folds is not None else _folds_with(folder, checkpoint_name)
    files = {name: folder / fold_name(name) / checkpoint_name for name in dict.fromkeys(names)}
    for name, file in files.items():
        if not file.is_file():
            raise FileNotFoundError(f"there is no {file}, {_advice(folder, name)}")
    stored = {name: read_checkpoint(file, entries=_NEEDED, ignored=_LARGE) for name, file in files.items()}
    trainer, configuration = _agreed(stored, files)

    def weights(fold: str) -> "dict[str, Tensor]":
        check_whole(files[fold])
        content = read_checkpoint(files[fold], entries=("network_weights",), ignored=("optimizer_state",))
        # nnU-Net writes a later checkpoint over this one, whose content is mapped into memory.
        return copied_weights(without_wrappers(content["network_weights"]))

    description = _described(folder, trainer, configuration, stored)
    return Model(description=description, weights=weights, place=str(folder))


def _folds_with(folder: Path, checkpoint_name: str) -> tuple[str, ...]:
    """Return the folds that predict together; that of all cases has seen what the others validate with."""
    found = [fold_of(file.parent) for file in folder.glob(f"{fold_name('*')}/{checkpoint_name}")]
    numbered = sorted((fold for fold in found if fold and fold.isdigit()), key=int)
    names = tuple(numbered) or tuple(fold for fold in found if fold == ALL)
    if not names:
        raise FileNotFoundError(f"{folder} has no fold with a {checkpoint_name}, {_advice(folder, None)}")
    return names


def _advice(folder: Path, fold: str | None) -> str:
    """Return what to do about a checkpoint that is not there.

    Args:
        folder: of the model.
        fold: that was asked for; None for any.
    """
    found = sorted(file.relative_to(folder).as_posix() for file in folder.glob(f"{fold_name('*')}/*.pth"))
    if not found:
        return "nor any other checkpoint; train first, or wait for the training"
    what = "choose among those there are with `checkpoint_name`" + ("" if fold is None else " and `folds`")
    return f"but {', '.join(found)}; {what}"


def _agreed(stored: Mapping[str, Mapping[str, Any]], files: Mapping[str, Path]) -> tuple[str, str]:
    """Return trainer and configuration, in which all folds must agree."""
    first: tuple[str, str] | None = None
    for name, content in stored.items():
        entry = Entry({key: content[key] for key in ("trainer_name", "init_args")}, str(files[name]), _WAY_OUT)
        trainer = entry.at("trainer_name")
        if not trainer.text("the name of a class").isidentifier():
            trainer.refuse("the name of a class")
        found = trainer.text(), check_name(entry.at("init_args").at("configuration"), "the name of a configuration")
        if first is not None and found != first:
            raise ValueError(
                f"{files[name]} is of {' '.join(found)}, and another fold of {' '.join(first)}; choose folds of one "
                "training with `folds`"
            )
        first = found
    assert first is not None
    return first


def _described(
    folder: Path, trainer: str, configuration: str, stored: Mapping[str, Mapping[str, Any]]
) -> ModelDescription:
    plans_file, dataset_file = folder / PLANS_FILE, folder / DATASET_FILE
    dataset = Entry(needed_dataset_json(read_dataset_json(dataset_file).content), str(dataset_file), _WAY_OUT)
    n_channels, labels = check_dataset_json(dataset)
    plans = _plans(plans_file, configuration)
    check_plans(plans, configuration, n_channels=n_channels)
    planned = plans.value["configurations"][configuration]
    try:
        network = planned_network(
            trainer,
            planned,
            input_channels=n_input_channels(n_channels, labels, planned),
            num_classes=labels.n_outputs,
        )
    except ValueError as error:
        raise ValueError(f"{plans_file}: {error}; {_WAY_OUT}") from error
    n_cases = dataset.value.get("numTraining")
    return ModelDescription(
        name=model_name(trainer, plans.value["dataset_name"]),
        network=network,
        trainer=trainer,
        configuration=configuration,
        plans=plans.value,
        dataset_json=dataset.value,
        mirror_axes=_mirror_axes(next(iter(stored.values())), len(planned["patch_size"]), folder),
        folds=tuple(fold_record(name, content) for name, content in stored.items()),
        conversion=read_kept_conversion(folder),
        data=TrainingData(
            dataset=plans.value["dataset_name"], n_cases=n_cases if isinstance(n_cases, int) and n_cases > 0 else None
        ),
        training=training_record(trainer, stored, folder),
        licences=Licences(),
    )


def _mirror_axes(stored: Mapping[str, Any], n_axes: int, folder: Path) -> tuple[int, ...]:
    axes = [int(axis) for axis in stored.get("inference_allowed_mirroring_axes") or ()]
    return check_mirror_axes(Entry(axes, f"{folder}: inference_allowed_mirroring_axes", _WAY_OUT), n_axes)


def _plans(file: Path, configuration: str) -> Entry:
    whole = Entry(read_json_object(file, any_encoding=True), str(file), _WAY_OUT)
    whole.at("configurations").object()
    try:
        return Entry(needed_plans(whole.object(), configuration), str(file), _WAY_OUT)
    except ValueError as error:
        raise ValueError(f"{file}: {error}; {_WAY_OUT}") from error


def model_name(trainer: str, dataset: str) -> str:
    """Return a name for a model that has none, such as "ultralightvm-isic".

    Args:
        trainer: its name.
        dataset: name of the data set's folder.
    """
    words = (trainer.removeprefix("nnUNetTrainer") or trainer, dataset.partition("_")[2])
    plain = [re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in words]
    return "-".join(filter(None, plain))
