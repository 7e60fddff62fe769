"""A table in a page."""

from markupsafe import Markup

from nnunet_mamba.report.tables.table import Column, Group, Row, Table


def as_html(table: Table) -> Markup:
    """Return the ``<table>``; the best numbers are bold, and published rows have the class "published"."""
    headings = Markup("").join(Markup('<th scope="col">{}</th>').format(column.title) for column in table.shown_columns)
    head = Markup('<thead><tr><th scope="col">{}</th>{}</tr></thead>').format(table.first_heading, headings)
    bodies = Markup("\n").join(_body(table, group, rows) for group, rows in table.groups)
    return Markup("<table><caption><span>{}</span></caption>{}{}</table>").format(table.title, head, bodies)


def _body(table: Table, group: Group | None, rows: list[Row]) -> Markup:
    lines = [_row(table, row) for row in rows]
    if group is not None:
        # The title sticks to the left, where rows scroll.
        line = Markup('<tr><th scope="rowgroup" class="rows" colspan="{}"><span>{}{}</span></th></tr>')
        lines.insert(0, line.format(len(table.shown_columns) + 1, group.title, _marks(table.marks(group))))
    return Markup("<tbody>{}</tbody>").format(Markup("\n").join(lines))


def _row(table: Table, row: Row) -> Markup:
    cells = Markup("").join(_cell(table, row, column) for column in table.shown_columns)
    return Markup('<tr{}><th scope="row">{}{}</th>{}</tr>').format(
        Markup(' class="published"') if row.is_published else "", _breakable(row.name), _marks(table.marks(row)), cells
    )


def _cell(table: Table, row: Row, column: Column) -> Markup:
    form = Markup("<td><b>{}</b></td>" if table.is_best(row, column) else "<td>{}</td>")
    return form.format(table.shown(row, column))


def _breakable(name: str) -> Markup:
    """Let a long name break behind its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


def _marks(marks: str) -> Markup:
    return Markup("<sup>{}</sup>").format(marks) if marks else Markup("")
