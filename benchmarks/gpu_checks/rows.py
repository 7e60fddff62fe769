"""The rows of the table: what was checked, what came out, and what that means."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nnunet_mamba.system.atomic import replacing

OK, WRONG, MEASURED, SKIPPED, TIMED_OUT, CRASHED = "ok", "WRONG", "measured", "skipped", "timed out", "crashed"
VERDICTS = (OK, WRONG, MEASURED, SKIPPED, TIMED_OUT, CRASHED)
HEADINGS = ("part", "what", "value", "expected", "verdict")
_WIDTHS = (9, 56, 34, 22)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table.

    Args:
        part: name of the part.
        what: what was checked.
        value: what came out.
        expected: what should come out, or a limit.
        verdict: one of ``VERDICTS``.
        reason: of a skipped row.
        detail: what does not fit into a table, such as a traceback; it goes to the file alone.
    """

    part: str
    what: str
    value: str = ""
    expected: str = ""
    verdict: str
    reason: str = ""
    detail: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no row; rows come from other processes."""
        wrong = [name for name, value in asdict(self).items() if not isinstance(value, str)]
        if wrong:
            raise ValueError(f"a row's {', '.join(wrong)} must be text")
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict {self.verdict!r}: expected one of {', '.join(VERDICTS)}")

    @property
    def is_failure(self) -> bool:
        """Whether it says that something does not work."""
        return self.verdict in (WRONG, CRASHED)

    def line(self) -> str:
        """Return the row as it is printed."""
        verdict = f"{self.verdict}: {self.reason}" if self.reason else self.verdict
        return aligned((self.part, self.what, self.value, self.expected, verdict))


def aligned(cells: Sequence[str]) -> str:
    """Return the cells of a row in columns; a cell is one line, and a long one moves the others to the right."""
    *cells, last = (" ".join(cell.split()) for cell in cells)
    padded = (cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
    return " ".join((*padded, last)).rstrip()


class Report:
    """The table, printed and written as it grows, so that a run that is ended leaves what it had.

    Args:
        file: gets everything as JSON after every row.
        run: what was asked for, for the file.
    """

    def __init__(self, file: Path, run: dict[str, Any]) -> None:
        self.rows: list[Row] = []
        self._file, self._run = file, run
        self._write(is_complete=False)

    def begin(self) -> None:
        """Print the headings."""
        print(aligned(HEADINGS), flush=True)

    def add(self, row: Row) -> None:
        """Write the file and print a row: what is on the screen is in the file."""
        self.rows.append(row)
        self._write(is_complete=False)
        print(row.line(), flush=True)

    def finish(self) -> None:
        """Mark the file as complete, and print how many rows there are of each verdict."""
        self._write(is_complete=True)
        counts = {verdict: sum(row.verdict == verdict for row in self.rows) for verdict in VERDICTS}
        print(", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count), flush=True)

    def _write(self, *, is_complete: bool) -> None:
        content = {**self._run, "is_complete": is_complete, "rows": [asdict(row) for row in self.rows]}
        with replacing(self._file) as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
