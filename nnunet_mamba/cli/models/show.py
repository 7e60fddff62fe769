"""``nnunet-mamba models show``: the card of a model."""

import json
from typing import Annotated

import typer

from nnunet_mamba.cli.options.model_options import CheckpointName, Folds, ModelSource, checked_source, parse_folds
from nnunet_mamba.cli.output.error_texts import errors_as_text


def show(
    model: ModelSource,
    folds: Folds = None,
    checkpoint_name: CheckpointName = "checkpoint_final.pth",
    as_json: Annotated[bool, typer.Option("--json", help="Print what model.json says.")] = False,
) -> None:
    """Print the card of a model: what it is, its training data, scores, limits and licences.

    Nothing in the model's files is run. Of nnU-Net's results, which have no card, one is made of what is known.
    """
    with errors_as_text(is_conversion=False, continues=False, workers=""):
        from nnunet_mamba.models.bundles.model_json import description_to_json
        from nnunet_mamba.models.opening import open_model

        opened = open_model(checked_source(model), folds=parse_folds(folds), checkpoint_name=checkpoint_name)
        card = opened.card()
        described = description_to_json(opened.description)
    if as_json:
        print(json.dumps(described, indent=2, ensure_ascii=False))
        return
    from nnunet_mamba.cli.output.console import results_console

    console = results_console()
    if console.is_terminal:
        from rich.markdown import Markdown

        console.print(Markdown(card))
    else:
        print(card)
    console.print(opened.place, markup=False, soft_wrap=True)
