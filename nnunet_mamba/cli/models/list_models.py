"""``nnunet-mamba models list``: the models that come with nnunet-mamba."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnunet_mamba.cli.output.error_texts import errors_as_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nnunet_mamba.models.description import ModelDescription, Score
    from nnunet_mamba.models.shipped_models import ShippedModel


def list_models(as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False) -> None:
    """List the models that come with nnunet-mamba: network, parameters, training data, size and Dice."""
    with errors_as_text(is_conversion=False, continues=False, workers=""):
        from nnunet_mamba.models.opening import open_model
        from nnunet_mamba.models.shipped_models import shipped_models

        models = [(model, open_model(model.name).description) for model in shipped_models()]
    if as_json:
        print(json.dumps([_as_dict(*model) for model in models], indent=2, ensure_ascii=False))
    elif models:
        _print_table(models)
    else:
        print(
            "No model comes with this nnunet-mamba. Look at others by their path: nnunet-mamba models show PATH.",
            file=sys.stderr,
        )


def _as_dict(model: "ShippedModel", description: "ModelDescription") -> dict[str, Any]:
    from dataclasses import asdict

    network = description.network
    return {
        "name": model.name,
        "aliases": list(model.aliases),
        "network": None if network is None else network.preset,
        "n_parameters": None if network is None else network.n_parameters,
        "data": description.data.dataset,
        "n_bytes": model.n_bytes,
        "scores": [asdict(score) for score in description.scores],
        "folder": str(model.folder),
    }


def _print_table(models: "Sequence[tuple[ShippedModel, ModelDescription]]") -> None:
    from rich.markup import escape
    from rich.table import Table

    from nnunet_mamba.cli.output.console import results_console

    table = Table()
    for heading in ("name", "network", "parameters", "data", "size", "Dice"):
        is_number = heading in ("parameters", "size")
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    for model, description in models:
        network = description.network
        count = None if network is None else network.n_parameters
        cells = (
            f"{model.name} ({', '.join(model.aliases)})" if model.aliases else model.name,
            description.trainer if network is None else network.preset,
            "n/a" if count is None else f"{count:,}".replace(",", " "),
            description.data.dataset,
            f"{model.n_bytes / 1000:.0f} kB",
            _told(first_dice(description)),
        )
        table.add_row(*map(escape, cells))
    results_console().print(table)


def first_dice(description: "ModelDescription") -> "Score | None":
    """Return the first Dice among a model's scores, which its author leads with; None without any."""
    return next((score for score in description.scores if score.metric.casefold() in ("dice", "dsc")), None)


def _told(score: "Score | None") -> str:
    return "n/a" if score is None else f"{score.value:.4f}, {score.data}, {score.protocol}"
