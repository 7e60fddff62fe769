"""Tables as Markdown for people, CSV for programs and LaTeX for papers."""

import csv
import io
import re

from nnunet_mamba.report.tables.table import Number, Row, Table

_OF_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "±": r"$\pm$",
    "×": r"$\times$",
    "→": r"$\to$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
}


def as_markdown(table: Table) -> str:
    """Return the table with its title and notes; the best numbers are bold."""
    head = [table.first_heading, *(column.title for column in table.columns)]
    lines = [f"### {table.title}", "", _markdown_line(head), _markdown_line(["---", *["---:"] * len(table.columns)])]
    for row in table.rows:
        cells = [
            f"**{_markdown(table.shown(row, column))}**"
            if table.is_best(row, column)
            else _markdown(table.shown(row, column))
            for column in table.columns
        ]
        lines.append(f"| {' | '.join([_markdown(row.name), *cells])} |")
    return "\n".join([*lines, "", *(f"{_markdown(note)}\n" for note in table.notes)]).rstrip() + "\n"


def _markdown_line(texts: list[str]) -> str:
    return f"| {' | '.join(_markdown(text) for text in texts)} |"


def _markdown(text: str) -> str:
    return re.sub(r"([|*_\\<])", r"\\\1", text)


def as_csv(table: Table) -> str:
    """Return the table for programs: whole numbers in plain units, NaN as nothing, each ± in a column of its own."""
    with_spread = {
        column.key
        for column in table.columns
        if any((number := table.number(row, column)) and number.spread == number.spread for row in table.rows)
    }
    keys = [(column.key, spread) for column in table.columns for spread in _parts(column.key in with_spread)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", *(f"{key}_sd" if spread else key for key, spread in keys), "published"])
    for row in table.rows:
        writer.writerow([row.name, *(_plain(row, key, spread=spread) for key, spread in keys), int(row.is_published)])
    return out.getvalue()


def _parts(has_spread: bool) -> tuple[bool, ...]:
    return (False, True) if has_spread else (False,)


def _plain(row: Row, key: str, *, spread: bool) -> str:
    cell = row.cells.get(key)
    if not isinstance(cell, Number):
        return "" if cell is None or spread else cell
    value = cell.spread if spread else cell.value
    return "" if value != value else f"{value:.10g}"


def as_latex(table: Table) -> str:
    r"""Return the table as a ``table`` environment, as wide as the text at most.

    It needs ``\usepackage{booktabs,graphicx}``. The best numbers are bold; a rule parts published rows from others.
    """
    head = " & ".join(_latex(text) for text in (table.first_heading, *(column.title for column in table.columns)))
    lines = []
    for place, row in enumerate(table.rows):
        if row.is_published and (place == 0 or not table.rows[place - 1].is_published):
            lines.append(r"\midrule")
        cells = [
            rf"\textbf{{{_latex(table.shown(row, column))}}}"
            if table.is_best(row, column)
            else _latex(table.shown(row, column))
            for column in table.columns
        ]
        lines.append(" & ".join([_latex(row.name), *cells]) + r" \\")
    columns = "l" + "r" * len(table.columns)
    notes = " ".join(_latex(note) for note in table.notes)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(table.title)}.{' ' + notes if notes else ''}}}",
            rf"\label{{tab:{table.key}}}",
            # Narrow tables keep the size of the text.
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def _latex(text: str) -> str:
    return "".join(_OF_LATEX.get(sign, sign) for sign in text)
