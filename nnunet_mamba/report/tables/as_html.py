"""A table in a page."""

from markupsafe import Markup

from nnunet_mamba.report.tables.table import Table

_ROW = Markup('<tr{}><th scope="row">{}</th>{}</tr>')


def as_html(table: Table) -> Markup:
    """Return the ``<table>``; the best numbers are bold, and published rows have the class "published"."""
    headings = Markup("").join(Markup('<th scope="col">{}</th>').format(column.title) for column in table.columns)
    head = Markup('<thead><tr><th scope="col">{}</th>{}</tr></thead>').format(table.first_heading, headings)
    rows = []
    for row in table.rows:
        cells = Markup("").join(
            Markup("<td><b>{}</b></td>" if table.is_best(row, column) else "<td>{}</td>").format(
                table.shown(row, column)
            )
            for column in table.columns
        )
        rows.append(_ROW.format(Markup(' class="published"') if row.is_published else "", row.name, cells))
    caption = Markup("<caption>{}</caption>").format(table.title)
    return Markup("<table>{}{}<tbody>{}</tbody></table>").format(caption, head, Markup("\n").join(rows))
