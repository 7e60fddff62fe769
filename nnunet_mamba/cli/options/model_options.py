"""Arguments and options that name trained models and their folds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from nnunet_mamba.cli.options.list_options import parse_names
from nnunet_mamba.cli.options.path_arguments import refusal_of_path

MODEL_HELP = (
    "Name of a model that comes with nnunet-mamba, or path of a bundle, of a folder TRAINER__PLANS__CONFIGURATION, or "
    "of a zip archive of either."
)

ModelSource = Annotated[str, typer.Argument(metavar="NAME|PATH", help=MODEL_HELP, show_default=False)]
Folds = Annotated[
    str | None,
    typer.Option(
        metavar="0,1|all",
        help="Folds to take.",
        show_default="all that are trained, of nnU-Net's results without fold_all where there are others",
    ),
]
# One model of nnU-Net's results, named by as much as tells it from others.
NamedModel = Annotated[str | None, typer.Option("--model", "-m", metavar="NAME|PATH", help=MODEL_HELP)]
ModelDataset = Annotated[
    str | None, typer.Option("--dataset", "-d", help="Instead: data set whose trained model is taken, such as 101.")
]
ModelTrainer = Annotated[str | None, typer.Option("-tr", "--trainer", help="Its trainer, if there are several.")]
ModelConfiguration = Annotated[
    str | None, typer.Option("-c", "--configuration", help="Its configuration, if there are several.")
]
ModelPlans = Annotated[str | None, typer.Option("-p", "--plans", help="Its plans, if there are several.")]
# As nnU-Net's commands call it, too.
CheckpointName = Annotated[
    str, typer.Option("--checkpoint-name", "-chk", help="File in each fold's folder of nnU-Net's results.")
]


def checked_source(text: str) -> str:
    """Return the name or path of a model as it was given.

    Raises:
        ValueError: it is a path that only a shell understands, or empty.
    """
    if (what := refusal_of_path(text)) is not None:
        raise ValueError(f"NAME|PATH {text!r}: {what}")
    return text


def parse_folds(text: str | None) -> list[str] | None:
    """Return the folds in a list with commas, None for those that are there.

    Raises:
        ValueError: it names nothing, something else than folds, or a fold twice.
    """
    if text is None:
        return None
    names = parse_names(text, option="--folds")
    if wrong := [name for name in names if name != "all" and not (name.isascii() and name.isdigit())]:
        raise ValueError(f"--folds {text!r} names {wrong[0]!r}, expected numbers such as 0,1, or all")
    return names


def results_folder(dataset: str, names: Mapping[str, str | None], checkpoint_name: str) -> Path:
    """Return the folder of nnU-Net's results that options name.

    Args:
        dataset: name or number.
        names: its trainer, plans and configuration, each None where there is only one.
        checkpoint_name: of the file in each fold.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the names fit several.
    """
    from nnunet_mamba.results.model_choice import find_results
    from nnunet_mamba.system.nnunet_folders import nnunet_folder

    results = nnunet_folder("nnUNet_results")
    return find_results(results, dataset, **names, checkpoint_name=checkpoint_name).folder
