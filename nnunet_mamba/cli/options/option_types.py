"""Options that commands of several kinds have, each with its one help text."""

from typing import Annotated

import typer

Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Worker processes; the result is the same.", show_default="one per core, at most 4"),
]
ProgressBars = Annotated[bool, typer.Option("--progress/--no-progress", help="Show how far it is.")]
