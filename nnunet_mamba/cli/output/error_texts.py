"""Errors of a command as text: a traceback would hide what was wrong."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from nnunet_mamba.cli.options.option_names import with_option_names
from nnunet_mamba.cli.output.notes import notes_on_stderr
from nnunet_mamba.cli.output.streams import INTERRUPTED
from nnunet_mamba.data.problems import InvalidDatasetError

# What a shell and typer report of a command line that means nothing.
WRONG_USAGE = 2


@contextmanager
def errors_as_text(*, is_conversion: bool, continues: bool, workers: str) -> Iterator[None]:
    """End the command with an error's text, and print the library's notes while it runs.

    Args:
        is_conversion: whether the command has --skip-invalid and --report.
        continues: whether an interrupted command continues where it was when it is run again.
        workers: the command's option for the fewest worker processes; "" if it has none.
    """
    try:
        with notes_on_stderr():
            yield
    except InvalidDatasetError as error:
        from nnunet_mamba.cli.output.problem_table import print_refusal

        print_refusal(error, is_conversion=is_conversion)
        raise typer.Exit(1) from None
    except (OSError, ValueError) as error:
        text = str(error)
        if isinstance(error, OSError) and error.strerror:
            text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        print(f"Error: {with_option_names(text)}", file=sys.stderr)
        raise typer.Exit(1) from None
    except ModuleNotFoundError as error:
        # Python's own words for a package that an environment without all of them lacks.
        is_unexpected = str(error) == f"No module named {error.name!r}"
        told = f"{error.name} is not installed, and this needs it: pip install {error.name}" if is_unexpected else error
        print(f"Error: {told}", file=sys.stderr)
        raise typer.Exit(1) from None
    except MemoryError:
        again = f"with {workers}, or on a larger machine" if workers else "on a larger machine"
        print(f"Error: the memory is full; run the same command again {again}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        print("Stopped; run the same command again, it continues." if continues else "Stopped.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def errors_of_usage() -> Iterator[None]:
    """End the command as for an unknown option if an option's value is wrong whatever the data are."""
    try:
        yield
    except ValueError as error:
        print(f"Error: {with_option_names(str(error))}", file=sys.stderr)
        raise typer.Exit(WRONG_USAGE) from None
