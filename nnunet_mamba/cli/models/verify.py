"""``nnunet-mamba models verify``: hashes, weights and network of models, one line each."""

from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.options.model_options import MODEL_HELP, CheckpointName, Folds, checked_source, parse_folds
from nnunet_mamba.cli.options.option_names import with_option_names
from nnunet_mamba.cli.output.error_texts import errors_as_text

if TYPE_CHECKING:
    from nnunet_mamba.models.verification import VerifiedModel


def verify(
    models: Annotated[list[str], typer.Argument(metavar="NAME|PATH...", help=MODEL_HELP, show_default=False)],
    folds: Folds = None,
    checkpoint_name: CheckpointName = "checkpoint_final.pth",
) -> None:
    """Compare hashes, build the networks and load the weights of all folds; exit with 1 if any model fails."""
    with errors_as_text(is_conversion=False, continues=False, workers=""):
        from nnunet_mamba.models.verification import verify_model

        chosen, has_failed = parse_folds(folds), False
        for model in models:
            try:
                print(_line(model, verify_model(checked_source(model), folds=chosen, checkpoint_name=checkpoint_name)))
            except (OSError, ValueError, ModuleNotFoundError) as error:
                has_failed = True
                print(f"failed  {model}: {with_option_names(' '.join(str(error).split()))}")
    if has_failed:
        raise typer.Exit(1)


def _line(model: str, verified: "VerifiedModel") -> str:
    description = verified.model.description
    network = f"weights of {description.trainer}, whose network only nnU-Net can build"
    if description.network is not None:
        network = f"{description.network.preset} with {verified.n_parameters} parameters"
    return f"ok      {model}: {network}, folds {', '.join(description.fold_names)}"
