"""Show what is wrong with a data set as a table, one row for each thing that is to be put right."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_mamba.cli.options.option_names import with_option_names
from nnunet_mamba.cli.output.console import progress_console, results_console
from nnunet_mamba.data.problems import InvalidDatasetError, Problem

if TYPE_CHECKING:
    from rich.console import Console

# More rows than this run off a terminal, and more cases than this make a row run off.
SHOWN_ROWS = 50
SHOWN_CASES = 5
# A row of a table without a border would be as long as its longest problem.
WIDTH_WITHOUT_TERMINAL = 120


def print_refusal(error: InvalidDatasetError, *, is_conversion: bool = True) -> None:
    """Print on standard error why a data set was refused, and what can be done.

    Args:
        error: with all problems.
        is_conversion: whether the command has --skip-invalid and --report.
    """
    console = progress_console(width=WIDTH_WITHOUT_TERMINAL)
    console.print(f"Error: {error.summary}", markup=False, soft_wrap=True)
    is_whole = _print_problems(console, error.problems)
    if not is_conversion:
        return
    if error.is_nothing_left:
        console.print("Put them right: --skip-invalid would leave no training case.", soft_wrap=True)
    else:
        console.print("Put them right, or leave these cases out with --skip-invalid.", soft_wrap=True)
    if not is_whole:
        _print_where_all_are(console, error.report)


def print_left_out(skipped: Mapping[str, Sequence[str]], report: Path | None = None) -> None:
    """Print on standard output which cases a conversion left out, and why.

    Args:
        skipped: their identifiers, and what is wrong with them.
        report: table that has all problems, None if none was written.
    """
    console = results_console(width=WIDTH_WITHOUT_TERMINAL)
    console.print(f"left out: {len(skipped)}")
    problems = [Problem(identifier, text) for identifier, texts in skipped.items() for text in texts]
    if not _print_problems(console, problems):
        _print_where_all_are(console, report)
    console.print()


def _print_where_all_are(console: "Console", report: Path | None) -> None:
    if report is None:
        console.print("--report problems.csv writes all of them into a table.", soft_wrap=True)
    else:
        console.print(f"All of them are in {report}.", markup=False, soft_wrap=True)


def _print_problems(console: "Console", problems: Sequence[Problem]) -> bool:
    """Print the table; return whether it names every case."""
    from rich.markup import escape
    from rich.table import Table

    root = _common_folder([problem.file for problem in problems if problem.file is not None])
    below = f"{root}{os.sep}" if root else ""
    alike: dict[str, list[Problem]] = {}
    for problem in problems:
        text = with_option_names(problem.text_with_advice)
        alike.setdefault(text.replace(below, "") if below else text, []).append(problem)
    if root:
        console.print(f"Files are below {root}", markup=False, soft_wrap=True)
    table = Table(show_edge=False)
    # A long identifier is folded, so that it leaves room for the text.
    table.add_column("case", overflow="fold", max_width=max(16, console.width // 3))
    table.add_column("problem", overflow="fold")
    for text, those in list(alike.items())[:SHOWN_ROWS]:
        # A case may have one problem with several files.
        files_of: dict[str, list[str]] = {}
        for problem in those:
            name = f"[dim]{escape(str(problem.file).removeprefix(below))}[/dim]" if problem.file else ""
            files_of.setdefault(escape(shown(problem.identifier)), []).append(name)
        table.add_section()
        for index, (identifier, names) in enumerate(list(files_of.items())[:SHOWN_CASES]):
            files = [name for name in dict.fromkeys(names) if name][:SHOWN_CASES]
            # Every case has a line of its own; nothing about another case stands beside it.
            first = escape(shown(text)) if index == 0 else "the same" + (f": {files.pop(0)}" if files else "")
            table.add_row(identifier, "\n".join([first, *files]))
        if (n_hidden := len(files_of) - SHOWN_CASES) > 0:
            table.add_row(f"and {n_hidden} more", "the same")
    console.print(table)
    n_rows = len(alike) - SHOWN_ROWS
    if n_rows > 0:
        console.print(f"and {n_rows} more")
    return n_rows <= 0 and all(len(those) <= SHOWN_CASES for those in alike.values())


def shown(text: str) -> str:
    """Return a text that a terminal can show: a name of a file may hold line breaks, or be no UTF-8.

    Args:
        text: any.
    """
    readable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(sign if sign.isprintable() or sign == " " else repr(sign)[1:-1] for sign in readable)


def _common_folder(files: Sequence[Path]) -> str:
    """Return the folder that holds all files, which need not be repeated for each; "" if there is none."""
    try:
        folder = os.path.commonpath([file.parent for file in files])
    except ValueError:
        # No files, or on several drives, or absolute and relative ones.
        return ""
    return "" if folder == os.sep else folder
