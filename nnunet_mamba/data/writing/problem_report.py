"""The table of all problems of a data set."""

import csv
from collections.abc import Sequence
from pathlib import Path

from nnunet_mamba.data.problems import Problem
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.folder_lock import refuse_if_unwritable


def refuse_if_no_report(path: Path) -> None:
    """Raise if no report can be written; leave no trace.

    Args:
        path: of the report.

    Raises:
        OSError: in words that say what to do.
    """
    if path.is_dir():
        raise IsADirectoryError(f"`report` {path} is a folder, expected a file such as {path / 'problems.csv'}")
    refuse_if_unwritable(
        path.parent, way_out="get the right to write there, make room, or choose another place with `report`"
    )


def write_problem_report(problems: Sequence[Problem], path: Path) -> None:
    """Write all problems as CSV: case, problem, file.

    Args:
        problems: may be none, then the table is empty.
        path: the file to create or replace.

    Raises:
        OSError: it cannot be written, in words that say what to do; nothing of it is left.
    """
    try:
        with (
            replacing(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["case", "problem", "file"])
            writer.writerows([problem.identifier, problem.text_with_advice, problem.file or ""] for problem in problems)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror or error}, while writing the report {path}; no case has been converted. Make room or "
            f"choose another place with `report`, and run the same command again",
        ) from error
