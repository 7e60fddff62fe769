"""``--run-report FILE``, which any command can have: what it was given, did and wrote, with hashes."""

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial, wraps
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from nnunet_mamba.cli.options.option_names import with_option_names
from nnunet_mamba.cli.output.error_texts import errors_of_usage
from nnunet_mamba.system.run_report import reported_run

_NAME = "run_report"
# Options that name where something is written.
_OF_OUTPUTS = ("output", "report", "images_only")
# Of file systems, in seconds.
_COARSEST_CLOCK = 2.0
_RunReport = Annotated[
    Path | None,
    typer.Option(
        "--run-report",
        metavar="FILE.json",
        help="Write what was done: options, versions, seconds, memory, and hashes of what was read and written.",
        show_default=False,
    ),
]

# The options of a run by their names, as typer gives them.
Given: TypeAlias = Mapping[str, Any]


def with_run_report(
    name: str, *, outputs: Callable[[Given], Iterable[Path]], inputs: Callable[[Given], Iterable[Path]] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what gives a command the option.

    Args:
        name: of the command, as a user types it.
        outputs: returns what the command may write; files that are there and that it has not changed are no outputs.
        inputs: returns what it reads; None takes the paths among its options that are there, without those of outputs.
    """

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        option = Parameter(_NAME, Parameter.KEYWORD_ONLY, default=None, annotation=_RunReport)
        parameters = [*(one.replace(kind=Parameter.KEYWORD_ONLY) for one in signature.parameters.values()), option]

        @wraps(command)
        def with_option(**given: Any) -> None:
            file: Path | None = given.pop(_NAME)
            if file is None:
                command(**given)
                return
            options = {key: value for key, value in given.items() if not isinstance(value, typer.Context)}
            with _errors_as_text():
                read = list((inputs or _paths)(options))
                report = reported_run(
                    file, f"nnunet-mamba {name}", options, inputs=read, outputs=partial(_written, outputs, options)
                )
                with report:
                    command(**given)

        with_option.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        with_option.__annotations__ = {one.name: one.annotation for one in parameters}
        return with_option

    return decorated


def _paths(options: Given) -> Iterator[Path]:
    """Yield the paths among options that are there, each once."""
    given = [value for key, value in options.items() if key not in _OF_OUTPUTS]
    values = [one for value in given for one in (value if isinstance(value, list | tuple) else [value])]
    yield from dict.fromkeys(value for value in values if isinstance(value, Path) and value.exists())


def _written(outputs: Callable[[Given], Iterable[Path]], options: Given, began: float) -> list[Path]:
    there = [path for path in outputs(options) if path.exists()]
    return [path for path in there if path.is_dir() or path.stat().st_mtime >= began - _COARSEST_CLOCK]


@contextmanager
def _errors_as_text() -> Iterator[None]:
    """Tell what is wrong with the report in a sentence; the command has told of its own errors."""
    try:
        with errors_of_usage():
            yield
    except OSError as error:
        print(f"Error: no report of the run: {with_option_names(str(error))}", file=sys.stderr)
        raise typer.Exit(1) from None
