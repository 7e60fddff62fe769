"""``nnunet-mamba convert``: published data sets as nnU-Net raw data."""

import typer

from nnunet_mamba.cli.convert.folder import folder
from nnunet_mamba.cli.convert.isic import isic
from nnunet_mamba.cli.convert.lgg import lgg
from nnunet_mamba.cli.convert.ph2 import ph2
from nnunet_mamba.cli.convert.synapse import synapse
from nnunet_mamba.cli.run_reports.reported_files import made_dataset
from nnunet_mamba.cli.run_reports.run_report_option import with_run_report

app = typer.Typer(help="Convert a data set to nnU-Net's raw format.", no_args_is_help=True)


@app.callback()
def _convert() -> None:
    """Convert a data set to nnU-Net's raw format."""


for _name, _command in {"isic": isic, "lgg": lgg, "synapse": synapse, "ph2": ph2, "folder": folder}.items():
    app.command(_name)(with_run_report(f"convert {_name}", outputs=made_dataset)(_command))
