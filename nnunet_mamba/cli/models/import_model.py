"""``nnunet-mamba models import``: a shared model in nnU-Net's results, where its own commands find it."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.options.model_options import ModelSource, checked_source
from nnunet_mamba.cli.output.error_texts import errors_as_text

if TYPE_CHECKING:
    from nnunet_mamba.models.importing import ImportedModel


def import_model(
    model: ModelSource,
    to: Annotated[Path | None, typer.Option(help="Folder of trained networks.", show_default="$nnUNet_results")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Data set to put it under, such as Dataset901_ISIC.", show_default="the model's own"),
    ] = None,
) -> None:
    """Write a model into nnU-Net's results, so that nnUNetv2_predict knows it, and print its folder.

    It may be an archive of nnUNetv2_export_model_to_zip with several models. Nothing in it is run, nothing is
    replaced, and only tensors, plans and labels are taken over.
    """
    with errors_as_text(is_conversion=False, continues=False, workers=""):
        from nnunet_mamba.models.importing import import_models
        from nnunet_mamba.system.nnunet_folders import nnunet_folder

        root = nnunet_folder("nnUNet_results") if to is None else to
        imported = import_models(checked_source(model), root, dataset=dataset)
    if to is not None:
        print(f"For nnU-Net: export nnUNet_results={shlex.quote(str(to.absolute()))}", file=sys.stderr)
    for one in imported:
        print(f"Predict with it: {_command(one)}", file=sys.stderr)
        print(one.folder)


def _command(imported: "ImportedModel") -> str:
    description = imported.description
    plans = description.plans["plans_name"]
    return (
        f"nnUNetv2_predict -i IMAGES -o MASKS -d {shlex.quote(imported.dataset)} -c {description.configuration} "
        f"-tr {description.trainer} -p {plans} -f {' '.join(description.fold_names)}"
    )
