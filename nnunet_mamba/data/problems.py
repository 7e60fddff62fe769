"""Problems of a data set, gathered so that the user sees all of them at once.

A text says what was found, what was expected and what to do. Where a setting would help, the text names it in
backquotes as Python has it: `skip_invalid=True`, `split='five-fold'`, or `labels` where any value may do. The library
knows no command line. A command puts its own options there (``cli/options/option_names.py``), so a setting and its
option have one name, and the text reads well with either: "leave it out with `skip_invalid=True`".
"""

import lzma
import struct
import unicodedata
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHOWN_PROBLEMS = 50
# Libraries raise these on damaged files; readers turn most of them into errors of their own before.
FILE_DAMAGES = (
    OSError,
    EOFError,
    ValueError,
    ArithmeticError,
    LookupError,
    RuntimeError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)


@dataclass(frozen=True)
class Problem:
    """One reason why a case cannot be converted.

    Args:
        identifier: the case, which `skip_invalid=True` leaves out, or a name that no case has.
        text: what was found, what was expected, what to do; settings in backquotes.
        file: where, if it is one file.
        advice: what to do where leaving the case out is a part of it: once that is done, it need not be told.
    """

    identifier: str
    text: str
    file: Path | None = None
    advice: str = ""

    @property
    def text_with_advice(self) -> str:
        """What was found, and all that can be done about it."""
        return f"{self.text}; {self.advice}" if self.advice else self.text

    def __str__(self) -> str:
        return f"{self.identifier}: {self.text_with_advice}" + (f" ({self.file})" if self.file else "")


@dataclass(frozen=True, kw_only=True)
class CaseCheck:
    """What a look at a case's files found.

    Args:
        problems: why it cannot be converted, empty if it can.
        source: what the conversion has to remember of the source, so that ``restore`` finds the way back; JSON values.
            "shape" is always there: the sizes of the image before conversion, in the order of its array's axes.
        digest: equal for equal pictures, whatever their file format; None if the image could not be read.
        foreground: share of the label's positions that are not background, None without a label.
        border: the same of the positions at the border alone, see ``mask_hints``; None where it says nothing, as of
            several labels.
        n_rounded: positions of the label that missed a whole number by a little and were taken as it.
    """

    problems: tuple[Problem, ...] = ()
    source: Mapping[str, Any] = field(default_factory=lambda: {"shape": []})
    digest: str | None = None
    foreground: float | None = None
    border: float | None = None
    n_rounded: int = 0


class InvalidDatasetError(ValueError):
    """Some cases cannot become part of an nnU-Net data set.

    ``problems`` holds all of them, ``folder`` is where they were to be written, ``summary`` tells both in one line.
    ``report`` is the table that they were written into, None without one, and ``is_nothing_left`` tells whether no
    training case is without a problem.
    """

    def __init__(
        self, problems: Sequence[Problem], folder: Path, *, report: Path | None = None, is_nothing_left: bool = False
    ) -> None:
        self.problems = tuple(problems)
        self.report = report
        self.is_nothing_left = is_nothing_left
        self.folder = folder
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        self.summary = f"{count} found, nothing written to {folder}"
        lines = [f"  {problem}" for problem in problems[:SHOWN_PROBLEMS]]
        if len(problems) > SHOWN_PROBLEMS:
            lines.append(f"  ... and {len(problems) - SHOWN_PROBLEMS} more")
        super().__init__(f"{self.summary}:\n" + "\n".join(lines))


def same_name(identifier: str) -> str:
    """Return a key that is equal for identifiers that some file system holds to be the same.

    macOS and Windows ignore case, and macOS stores accents decomposed.

    Args:
        identifier: a case's name.
    """
    return unicodedata.normalize("NFC", identifier).casefold()
