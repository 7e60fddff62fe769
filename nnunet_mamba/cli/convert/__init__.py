"""``nnunet-mamba convert``: published data sets as nnU-Net raw data."""

import typer

from nnunet_mamba.cli.convert.folder import folder
from nnunet_mamba.cli.convert.isic import isic
from nnunet_mamba.cli.convert.lgg import lgg
from nnunet_mamba.cli.convert.ph2 import ph2
from nnunet_mamba.cli.convert.synapse import synapse

app = typer.Typer(help="Convert a data set to nnU-Net's raw format.", no_args_is_help=True)


@app.callback()
def _convert() -> None:
    """Convert a data set to nnU-Net's raw format."""


app.command("isic")(isic)
app.command("lgg")(lgg)
app.command("synapse")(synapse)
app.command("ph2")(ph2)
app.command("folder")(folder)
