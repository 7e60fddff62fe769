"""Consoles for results and for progress: as wide as the terminal, or as wide as their content where there is none."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# Wider than any line: a file or a pipe has no border, and rich assumes 80 columns and cuts names there.
_NO_BORDER = 10_000


def results_console() -> "Console":
    """Return the console for what a command was asked for, on standard output."""
    from rich.console import Console

    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_NO_BORDER)


def progress_console() -> "Console":
    """Return the console for progress and notes, on standard error."""
    from rich.console import Console

    if sys.stderr.isatty():
        return Console(stderr=True, highlight=False)
    return Console(stderr=True, highlight=False, width=_NO_BORDER)
