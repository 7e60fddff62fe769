"""A table of a report, before it is written in one form or another: columns, cells, and what must be known of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NOTHING = "–"


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
    """

    key: str
    heading: str
    decimals: int | None = None
    unit: str = ""
    scale: float = 1.0
    better: str = ""

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
    """

    value: float
    spread: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row.

    Args:
        name: what it is about.
        cells: by the keys of columns; a column without a cell shows nothing.
        is_published: whether others have measured it. Such a row is marked and has no part in what is best.
    """

    name: str
    cells: Mapping[str, Number | str]
    is_published: bool = False


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

    def number(self, row: Row, column: Column) -> Number | None:
        """Return the number of a cell; None where it has none, or a text."""
        cell = row.cells.get(column.key)
        return cell if isinstance(cell, Number) and not math.isnan(cell.value) else None

    def shown(self, row: Row, column: Column) -> str:
        """Return a cell as people read it."""
        cell = row.cells.get(column.key)
        if isinstance(cell, str):
            return cell
        number = self.number(row, column)
        if number is None:
            return NOTHING
        text = _rounded(number.value, column)
        return text if math.isnan(number.spread) else f"{text} ± {_rounded(number.spread, column)}"

    def is_best(self, row: Row, column: Column) -> bool:
        """Return whether no other row has a better number, as they are shown; equal ones are all the best."""
        own = self.number(row, column)
        if not column.better or own is None or row.is_published:
            return False
        others = [self.number(each, column) for each in self.rows if not each.is_published]
        shown = [float(_rounded(each.value, column)) for each in others if each is not None]
        best = max(shown) if column.better == "higher" else min(shown)
        return len(shown) > 1 and float(_rounded(own.value, column)) == best


def _rounded(value: float, column: Column) -> str:
    return f"{value * column.scale:.{column.decimals or 0}f}"
