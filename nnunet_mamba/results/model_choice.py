"""Which of nnU-Net's trained models is meant, by data set and as much of the model's name as is needed."""

from pathlib import Path

from nnunet_mamba.results.checkpoints import FINAL
from nnunet_mamba.results.trained_model import TrainedModel, finished_models
from nnunet_mamba.system.nnunet_folders import dataset_number


def find_results(
    results: Path,
    dataset: str,
    *,
    trainer: str | None = None,
    plans: str | None = None,
    configuration: str | None = None,
    checkpoint_name: str = FINAL,
) -> TrainedModel:
    """Return the only model of a data set that has these names, and a fold with the checkpoint.

    Args:
        results: ``$nnUNet_results``.
        dataset: "Dataset101_ISIC" or "101".
        trainer: as given to ``-tr``; None fits any, as with the others.
        plans: as given to ``-p``.
        configuration: as given to ``-c``.
        checkpoint_name: of a file in a fold's folder; the default is written when a training ends.

    Raises:
        FileNotFoundError: there is none; tells those that there are.
        ValueError: several fit; tells what tells them apart.
    """
    folder = results / find_dataset_name(results, dataset)
    models = list(finished_models(folder, checkpoint_name=checkpoint_name))
    wanted = {"trainer": trainer, "plans": plans, "configuration": configuration}
    given = {name: value for name, value in wanted.items() if value is not None}
    found = [model for model in models if all(getattr(model.name, name) == value for name, value in given.items())]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f"{len(found)} trained models in {folder} fit; choose with `trainer`, `plans` or `configuration`:\n"
            f"{_listed(found)}"
        )
    asked = f" of {' '.join(given.values())}" if given else ""
    there = f"There are:\n{_listed(models)}" if models else "No training has finished there; see nnUNetv2_train"
    raise FileNotFoundError(f"no trained model{asked} in {folder} has a {checkpoint_name}. {there}")


def find_dataset_name(results: Path, dataset: str) -> str:
    """Return the name of a data set's folder in nnU-Net's results.

    Args:
        results: ``$nnUNet_results``.
        dataset: "Dataset101_ISIC" or "101".

    Raises:
        FileNotFoundError: there is none; tells those that there are.
        ValueError: the number is that of several.
    """
    known = sorted(path.name for path in results.glob("Dataset*") if path.is_dir())
    found = [
        name for name in known if name == dataset or (dataset.isdecimal() and dataset_number(name) == int(dataset))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{dataset} is the number of {' and '.join(found)} in {results}; give the name")
    raise FileNotFoundError(
        f"no results of a data set {dataset!r} in {results}, which has {', '.join(known) or 'none'}"
    )


def _listed(models: list[TrainedModel]) -> str:
    return "\n".join(
        f"  -tr {model.name.trainer} -p {model.name.plans} -c {model.name.configuration}" for model in models
    )
