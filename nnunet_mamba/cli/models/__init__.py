"""``nnunet-mamba models``: trained models that come with nnunet-mamba, or that somebody has shared."""

from typing import Annotated

import typer

from nnunet_mamba.cli.models.export import export
from nnunet_mamba.cli.models.import_model import import_model
from nnunet_mamba.cli.models.list_models import list_models
from nnunet_mamba.cli.models.show import show
from nnunet_mamba.cli.models.verify import verify

app = typer.Typer(help="List, show, verify, import and export trained models.")


@app.callback(invoke_without_command=True)
def _models(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False
) -> None:
    """List, show, verify, import and export trained models; without a command, list those that are here."""
    if ctx.invoked_subcommand is None:
        list_models(as_json)


app.command("list")(list_models)
app.command("show")(show)
app.command("verify")(verify)
app.command("import")(import_model)
app.command("export")(export)
