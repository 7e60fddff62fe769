"""``nnunet-mamba convert``: published data sets as nnU-Net raw data; the converters are in dataset_conversion/."""

import typer

from nnunet_mamba.cli.convert.isic import isic

app = typer.Typer(help="Convert a data set to nnU-Net's raw format.", no_args_is_help=True)


@app.callback()
def _convert() -> None:
    """Convert a data set to nnU-Net's raw format."""


app.command("isic")(isic)
