"""Commands as scripts of their own: those of dataset_conversion/, and changed copies of them."""

from collections.abc import Callable

import typer

from nnunet_mamba.cli.options.path_arguments import refuse_unexpanded_paths
from nnunet_mamba.cli.output.streams import guarded_streams


def run_as_script(command: Callable[..., None], facts: object) -> None:
    """Run a conversion command with what a script declares of its data set.

    Args:
        command: a conversion command.
        facts: those of the command's converter, which the command finds in its context.
    """
    script = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    script.command()(command)
    refuse_unexpanded_paths(script)
    with guarded_streams():
        script(obj=facts)
