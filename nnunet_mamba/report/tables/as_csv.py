"""A table for programs: plain units, all digits, and no sign of emphasis."""

import csv
import io
from collections.abc import Sequence

from nnunet_mamba.report.tables.table import Column, Number, Row, Table

# What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(table: Table) -> str:
    """Return the table as CSV.

    Numbers have plain units and all digits, NaN is nothing, and each ± is in a column of its own, ``…_sd``. Texts that
    spreadsheets would take for a formula begin with an apostrophe.
    """
    columns = [column for column in table.columns if column.for_programs]
    names = _names(columns)
    has_spread = {column.key for column in columns if any(_field(row, column, spread=True) for row in table.rows)}
    fields = [(column, spread) for column in columns for spread in (False, True)[: 1 + (column.key in has_spread)]]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "name",
            *(f"{names[column.key]}{'_sd' if spread else ''}" for column, spread in fields),
            "published",
            *(["remarks"] if table.footnotes else []),
        ]
    )
    for row in table.rows:
        cells = [_field(row, column, spread=spread) for column, spread in fields]
        writer.writerow([_text(row.name), *cells, int(row.is_published), *([_remarks(row)] if table.footnotes else [])])
    return out.getvalue()


def _names(columns: Sequence[Column]) -> dict[str, str]:
    """Return what heads each column, by its key; names that two have alike, as of labels, give way to the keys."""
    names = [column.csv_name or column.key for column in columns]
    return {
        column.key: name if names.count(name) == 1 else column.key for column, name in zip(columns, names, strict=True)
    }


def _field(row: Row, column: Column, *, spread: bool) -> str:
    cell = row.cells.get(column.key)
    if not isinstance(cell, Number):
        return "" if cell is None or spread else _text(cell)
    value = cell.spread if spread else cell.value
    if value != value:
        return ""
    # The shortest text that is read as the same number; counts have no point.
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))


def _remarks(row: Row) -> str:
    of_group = row.group.remarks if row.group is not None else ()
    return _text(" | ".join(dict.fromkeys((*of_group, *row.remarks))))


def _text(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
