"""Options of commands that train, here or on a Slurm cluster."""

from typing import Annotated, Literal

import typer

_SLURM = "Slurm (with --executor slurm)"

Executor = Annotated[Literal["local", "slurm"], typer.Option(help="Where to train.")]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Follow the jobs, or only submit them.", rich_help_panel=_SLURM)
]
SlurmPartition = Annotated[
    str | None, typer.Option(help="Partition.", rich_help_panel=_SLURM, show_default="the cluster's")
]
SlurmTime = Annotated[
    str,
    typer.Option(
        help="Time of a job, minutes or D-HH:MM:SS; a longer training continues in another.", rich_help_panel=_SLURM
    ),
]
SlurmGpus = Annotated[
    int | None,
    typer.Option(min=0, help="GPUs of a job.", rich_help_panel=_SLURM, show_default="1, with --device cpu 0"),
]
SlurmCpus = Annotated[int, typer.Option(min=1, help="Cores of a job.", rich_help_panel=_SLURM)]
SlurmMemory = Annotated[
    str | None,
    typer.Option(help="Memory of a job, such as 32G.", rich_help_panel=_SLURM, show_default="the cluster's"),
]
SlurmSetup = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COMMAND",
        help="Shell command before the training, such as 'module load cuda'; repeatable.",
        rich_help_panel=_SLURM,
        show_default=False,
    ),
]
SlurmOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Any other option of sbatch, such as account=imaging; repeatable.",
        rich_help_panel=_SLURM,
        show_default=False,
    ),
]
