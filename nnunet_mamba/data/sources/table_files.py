"""Tables as CSV, as editors and spreadsheets save them."""

import csv
import io
from pathlib import Path

from nnunet_mamba.system.text_files import read_text

_SEPARATORS = ",;\t"


def read_table(path: Path, *, setting: str) -> list[tuple[int, list[str]]]:
    """Return the lines of a table, the heading first, each with its number; all have as many columns.

    Args:
        path: a text file with comma, semicolon or tab between its columns, see ``read_text`` for its encoding.
        setting: that names the file, for errors, such as "`groups`".

    Raises:
        ValueError: it is no table with a heading, two columns and a row.
        OSError: unreadable.
    """
    try:
        text = read_text(path)
    except ValueError as error:
        raise ValueError(f"{setting} {path}: {error}") from error
    first_line = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=first_line.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}; save the table as CSV again") from error
    rows = [(line, row) for line, row in rows if any(row)]
    if not rows or len(rows[0][1]) < 2:
        raise ValueError(
            f"{path} begins with {first_line[:80]!r}, expected a heading of at least two columns with comma, "
            "semicolon or tab between; save the table as CSV"
        )
    n_columns = len(rows[0][1])
    for line, row in rows:
        if len(row) != n_columns:
            raise ValueError(f"{path}, line {line}: {len(row)} columns, expected {n_columns} as in the heading")
    if len(rows) == 1:
        raise ValueError(
            f"{path} has a heading and no rows, expected one for every image; give the table of these images"
        )
    return rows
