"""Consoles for results and for progress: as wide as the terminal, or as wide as their content where there is none."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# Wider than any line: a file or a pipe has no border, and rich assumes 80 columns and cuts names there.
_NO_BORDER = 10_000


def results_console(*, width: int = _NO_BORDER) -> "Console":
    """Return the console for a command's results, on standard output.

    Args:
        width: columns where there is no terminal.
    """
    return _console(is_terminal=sys.stdout.isatty(), stderr=False, width=width)


def progress_console(*, width: int = _NO_BORDER) -> "Console":
    """Return the console for progress and notes, on standard error.

    Args:
        width: columns where there is no terminal.
    """
    return _console(is_terminal=sys.stderr.isatty(), stderr=True, width=width)


@contextmanager
def shown_status(console: "Console") -> Iterator[Callable[[str], None]]:
    """Give a function that is told what is done next, and shows it until the block ends.

    Args:
        console: a terminal shows it beside a spinner; elsewhere a line on standard error does, where one is due.
    """
    if console.is_terminal:
        with console.status("starting", spinner="line") as status:
            yield status.update
        return
    from nnunet_mamba.system.progress import PacedLines

    yield PacedLines().offer


def _console(*, is_terminal: bool, stderr: bool, width: int) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, width=None if is_terminal else width)
