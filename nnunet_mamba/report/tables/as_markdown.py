"""A table in GitHub's Markdown."""

import re
from collections.abc import Sequence

from nnunet_mamba.report.tables.table import Group, Row, Table


def as_markdown(table: Table) -> str:
    """Return the table with its title and notes; the best numbers are bold, and published rows are in italics."""
    head = [table.first_heading, *(column.title for column in table.shown_columns)]
    lines = [
        f"### {_escaped(table.title)}",
        "",
        _line([_escaped(text) for text in head]),
        _line(["---", *["---:"] * len(table.shown_columns)]),
    ]
    for group, rows in table.groups:
        if group is not None:
            lines.append(_line([_group(table, group), *("" for _ in table.shown_columns)]))
        lines += [_row(table, row) for row in rows]
    notes = [_escaped(note) for note in table.notes]
    notes += [f"{_marks(mark)} {_escaped(text)}" for text, mark in table.footnotes.items()]
    return "\n".join([*lines, "", *(f"{note}\n" for note in notes)]).rstrip() + "\n"


def _group(table: Table, group: Group) -> str:
    return f"***{_escaped(group.title)}***{_marks(table.marks(group))}"


def _row(table: Table, row: Row) -> str:
    cells = [
        f"**{_escaped(table.shown(row, column))}**"
        if table.is_best(row, column)
        else _escaped(table.shown(row, column))
        for column in table.shown_columns
    ]
    name = f"*{_escaped(row.name)}*" if row.is_published else _escaped(row.name)
    return _line([f"{name}{_marks(table.marks(row))}", *cells])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    # Every sign that means something in a cell, be it to Markdown, to HTML or to GitHub's formulas.
    return re.sub(r"([\\\x60*_\[\]<>|~&$#])", r"\\\1", " ".join(text.split()))


def _marks(marks: str) -> str:
    return f"<sup>{marks}</sup>" if marks else ""
