"""A model as nnU-Net's own commands take it: a folder of results, or a checkpoint to begin a training with."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnunet_mamba.models.description import FoldRecord, ModelDescription
from nnunet_mamba.models.kept_conversion import write_kept_conversion
from nnunet_mamba.models.model import Model
from nnunet_mamba.models.needed_plans import check_dataset_name
from nnunet_mamba.models.nnunet.architecture_names import refuse_other_than_layers
from nnunet_mamba.models.planned_network import preset_of_trainer
from nnunet_mamba.networks.torch_files import write_torch_file
from nnunet_mamba.results.checkpoints import FINAL
from nnunet_mamba.results.layout import ALL, ModelName, fold_name
from nnunet_mamba.results.trained_model import DATASET_FILE, PLANS_FILE
from nnunet_mamba.system.atomic import new_folder
from nnunet_mamba.system.checked_entries import Entry
from nnunet_mamba.system.nnunet_folders import dataset_number, nnunet_folder_if_set


def results_path(model: Model, results_root: Path, *, dataset: str | None = None) -> Path:
    """Return where a model belongs in nnU-Net's results.

    Args:
        model: from anywhere.
        results_root: ``$nnUNet_results``.
        dataset: name of the data set's folder; None keeps the model's own.

    Raises:
        FileExistsError: there is a model, or nnU-Net knows another data set of this number.
        ValueError: nnU-Net gives no data set such a name.
    """
    description = _with_dataset(model.description, dataset)
    plans: str = description.plans["plans_name"]
    name = ModelName(trainer=description.trainer, plans=plans, configuration=description.configuration)
    own: str = description.plans["dataset_name"]
    folder = results_root / own / str(name)
    if folder.exists():
        raise FileExistsError(f"{folder} exists, and is not replaced; choose another data set with `dataset`")
    for other in _others_of_number(own, results_root):
        raise FileExistsError(
            f"{other} has the number of {own}, which nnU-Net would no longer tell apart; choose a "
            "free number with `dataset`"
        )
    return folder


def unpack_to_results(model: Model, results_root: Path, *, dataset: str | None = None) -> Path:
    """Write a folder of nnU-Net's results, with which its own commands predict, and return it.

    It holds no state of an optimiser, so that no training can be continued from it.

    Args:
        model: from anywhere.
        results_root: ``$nnUNet_results``.
        dataset: name of the data set's folder; None keeps the model's own.

    Raises:
        FileExistsError: see ``results_path``.
        OSError: the folder cannot be written; nothing is left of it.
        ValueError: the weights are damaged or do not fit the network; or its plans would have nnU-Net call something
            else than layers.
    """
    target = results_path(model, results_root, dataset=dataset)
    description = _with_dataset(model.description, dataset)
    # Trainers of nnunet-mamba build no network by a name in the plans, all others do.
    if preset_of_trainer(description.trainer) is None:
        refuse_other_than_layers(description.planned, f"The model {model.place}")
    if description.network is not None:
        for fold in description.fold_names:
            model.build_network(fold)
    with new_folder(target) as folder:
        for name, content in ((PLANS_FILE, description.plans), (DATASET_FILE, description.dataset_json)):
            (folder / name).write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
        if description.conversion is not None:
            write_kept_conversion(folder, description.conversion)
        for record in description.folds:
            write_torch_file(_checkpoint(model, description, record), folder / fold_name(record.name) / FINAL)
    return target


def write_pretrained_checkpoint(model: Model, fold: int | str, path: Path) -> None:
    """Write a checkpoint for ``nnUNetv2_train -pretrained_weights``.

    Args:
        model: from anywhere.
        fold: one of the model's.
        path: the file to create or replace.

    Raises:
        OSError: the file cannot be written; an earlier one is untouched.
        ValueError: there is no such fold, or its weights are damaged.
    """
    write_torch_file({"network_weights": model.fold_weights(fold)}, path)


def _checkpoint(model: Model, description: ModelDescription, fold: FoldRecord) -> dict[str, Any]:
    """Return the entries of a checkpoint that nnU-Net predicts with, and which a distillation's teacher needs."""
    return {
        "network_weights": model.fold_weights(fold.name),
        "_best_ema": fold.best_ema_dice,
        "current_epoch": fold.epochs or 0,
        "init_args": {
            "plans": description.plans,
            "configuration": description.configuration,
            "fold": fold.name if fold.name == ALL else int(fold.name),
            "dataset_json": description.dataset_json,
        },
        "trainer_name": description.trainer,
        # nnU-Net cannot mirror along no axes, only not mirror.
        "inference_allowed_mirroring_axes": description.mirror_axes or None,
    }


def _with_dataset(description: ModelDescription, dataset: str | None) -> ModelDescription:
    if dataset is None:
        return description
    check_dataset_name(Entry(dataset, "`dataset`", "give a number of three digits and a name"))
    return replace(description, plans={**description.plans, "dataset_name": dataset})


def _others_of_number(dataset: str, results_root: Path) -> Iterator[Path]:
    """Yield folders of other data sets with the same number, which nnU-Net looks for in all three of its folders."""
    places = [results_root, *map(nnunet_folder_if_set, ("nnUNet_raw", "nnUNet_preprocessed"))]
    for place in filter(None, places):
        for folder in sorted(place.glob("Dataset*_*")):
            if folder.name != dataset and dataset_number(folder.name) == dataset_number(dataset):
                yield folder
