"""Problems of a data set, gathered so that the user sees all of them at once."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SHOWN_PROBLEMS = 50


@dataclass(frozen=True)
class Problem:
    """One reason why a case cannot be converted.

    Args:
        identifier: the case.
        text: what was found, what was expected, what to do.
        file: where, if it is one file.
    """

    identifier: str
    text: str
    file: Path | None = None

    def __str__(self) -> str:
        return f"{self.identifier}: {self.text}" + (f" ({self.file})" if self.file else "")


class InvalidDatasetError(ValueError):
    """Some cases cannot become part of an nnU-Net data set; ``problems`` holds all of them."""

    def __init__(self, problems: Sequence[Problem], folder: Path) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        lines = [f"  {problem}" for problem in problems[:SHOWN_PROBLEMS]]
        if len(problems) > SHOWN_PROBLEMS:
            lines.append(f"  ... and {len(problems) - SHOWN_PROBLEMS} more")
        super().__init__(f"{count} found, nothing written to {folder}:\n" + "\n".join(lines))


def same_name(identifier: str) -> str:
    """Return a key that is equal for identifiers that some file system holds to be the same.

    macOS and Windows ignore case, and macOS stores accents decomposed.

    Args:
        identifier: a case's name.
    """
    return unicodedata.normalize("NFC", identifier).casefold()
