"""What a conversion found wrong, in the words of a run that has fewer settings than a conversion."""

import re
from dataclasses import replace
from pathlib import Path

from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.data.writing.problem_report import write_problem_report

# Of a conversion's settings, those that a user of an experiment can choose; all others are the experiment's.
_SETTINGS = ("skip_invalid", "label_numbering")
# In backquotes.
_SETTING = re.compile(r"\x60([a-z][a-z_]*)(?:=[^\x60]*)?\x60")
# Between what was found and the ways out.
_BETWEEN = re.compile(r"(; |, or )")
_SHOWN = 3


def without_other_settings(text: str) -> str:
    """Return the text of a conversion's error without the ways out by settings that the experiment fixes.

    Args:
        text: what was found, then what to do.
    """
    found, *rest = _BETWEEN.split(" ".join(text.split()))
    for between, way_out in zip(rest[::2], rest[1::2], strict=True):
        if all(name in _SETTINGS for name in _SETTING.findall(way_out)):
            found += between + way_out
    return found


def told_problems(error: InvalidDatasetError, file: Path) -> str:
    """Write all problems of a data set into a table, and return the first ones in one line.

    Args:
        error: of the conversion.
        file: of the table, as CSV.

    Raises:
        OSError: it cannot be written.
    """
    problems = [
        replace(problem, text=without_other_settings(problem.text_with_advice), advice="") for problem in error.problems
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_problem_report(problems, file)
    shown = "; ".join(map(str, problems[:_SHOWN]))
    rest = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    way_out = "" if error.is_nothing_left else "; `skip_invalid=True` leaves these images out"
    return f"{error.summary}: {shown}{rest}. All of them are in {file}{way_out}."
