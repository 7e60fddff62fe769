"""A table of a report, before it is written in one form or another: columns, cells, and what must be known of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from string import ascii_lowercase

NOTHING = "–"
_MINUS = "−"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column.

    Args:
        key: name for machines, unique in the table.
        heading: name for people.
        decimals: of its numbers; None for columns of text.
        unit: of its numbers.
        scale: what numbers are multiplied with before they are shown to people.
        better: "higher" or "lower"; empty where no number is the best.
        csv_name: heads the column in CSV files, with the unit: "hd95_mm"; empty takes the key.
        for_people: whether it is in the page, in Markdown and in LaTeX.
        for_programs: whether it is in CSV files.
    """

    key: str
    heading: str
    decimals: int | None = None
    unit: str = ""
    scale: float = 1.0
    better: str = ""
    csv_name: str = ""
    for_people: bool = True
    for_programs: bool = True

    @property
    def title(self) -> str:
        """The heading with its unit."""
        return f"{self.heading} ({self.unit})" if self.unit else self.heading


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number of a cell.

    Args:
        value: NaN where there is none.
        spread: what stands behind ±; NaN without.
        decimals: of a number that is shown with others than its column's; None takes these.
    """

    value: float
    spread: float = math.nan
    decimals: int | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows that belong together: its title stands in a line of its own above them.

    Args:
        title: of the line.
        remarks: on all of its rows, each a sentence.
    """

    title: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row.

    Args:
        name: what it is about.
        cells: by the keys of columns; a column without a cell shows nothing.
        is_published: whether others have measured it. Such a row is marked and has no part in what is best.
        group: that it belongs to, with its neighbours; None for none.
        remarks: on this row alone, each a sentence.
    """

    name: str
    cells: Mapping[str, Number | str]
    is_published: bool = False
    group: Group | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Args:
        key: name for files, unique in a report.
        title: above it.
        first_heading: of the names of rows.
        columns: from left to right.
        rows: from top to bottom.
        notes: what must be known of its numbers.
    """

    key: str
    title: str
    first_heading: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str] = field(default=())

    @property
    def shown_columns(self) -> list[Column]:
        """The columns that people see."""
        return [column for column in self.columns if column.for_people]

    @property
    def groups(self) -> list[tuple[Group | None, list[Row]]]:
        """The rows, with the group of neighbours."""
        return [(group, list(rows)) for group, rows in groupby(self.rows, key=lambda row: row.group)]

    @cached_property
    def footnotes(self) -> dict[str, str]:
        """The letter of each remark, in the order of the rows; what is remarked twice has one letter."""
        texts: dict[str, None] = {}
        for group, rows in self.groups:
            texts |= dict.fromkeys(group.remarks if group is not None else ())
            for row in rows:
                texts |= dict.fromkeys(row.remarks)
        return {text: _letter(place) for place, text in enumerate(texts)}

    def marks(self, remarked: Row | Group) -> str:
        """Return the letters of the remarks on a row or a group, such as "a,c"; nothing without any."""
        return ",".join(self.footnotes[text] for text in remarked.remarks)

    def number(self, row: Row, column: Column) -> Number | None:
        """Return the number of a cell; None where it has none, or a text."""
        cell = row.cells.get(column.key)
        return cell if isinstance(cell, Number) and not math.isnan(cell.value) else None

    def shown(self, row: Row, column: Column) -> str:
        """Return a cell as people read it."""
        cell = row.cells.get(column.key)
        if isinstance(cell, str):
            return cell or NOTHING
        number = self.number(row, column)
        if number is None:
            return NOTHING
        text = _rounded(number.value, number, column).replace("-", _MINUS)
        return text if math.isnan(number.spread) else f"{text} ± {_rounded(number.spread, number, column)}"

    def is_best(self, row: Row, column: Column) -> bool:
        """Return whether no other row has a better number, as they are shown; equal ones are all the best."""
        own = self.number(row, column)
        if not column.better or own is None or row.is_published:
            return False
        others = [self.number(each, column) for each in self.rows if not each.is_published and each.group == row.group]
        shown = [float(_rounded(each.value, each, column)) for each in others if each is not None]
        best = max(shown) if column.better == "higher" else min(shown)
        return len(shown) > 1 and float(_rounded(own.value, own, column)) == best


def _rounded(value: float, number: Number, column: Column) -> str:
    decimals = (column.decimals or 0) if number.decimals is None else number.decimals
    text = f"{value * column.scale:.{decimals}f}"
    # What is rounded to 0 has no sign.
    return text if text.strip("-0.") else text.lstrip("-")


def _letter(place: int) -> str:
    """Return a, b, … z, aa, ab, … for 0, 1, …."""
    ahead, last = divmod(place, len(ascii_lowercase))
    return f"{_letter(ahead - 1) if ahead else ''}{ascii_lowercase[last]}"
