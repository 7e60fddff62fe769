r"""A table in LaTeX, with ``\usepackage{booktabs}`` and nothing else.

``\resizebox`` would shrink letters to any size. Here a table that is wider than a column of text spans the page in
small type with narrow gaps, and columns that are too many even for that go on in a second block below, beside the same
names.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from nnunet_mamba.report.tables.table import Column, Group, Row, Table

# Characters of a line: of a column's own text, and in small type of a page with two columns.
_COLUMN, _PAGE = 62, 106
# Between columns, in characters.
_GAP = 2
# Of names, in characters; longer ones take several lines in a third of the page.
_LONGEST_NAME, _THIRD = 48, 37
# Rows and lines of notes on a page.
_MOST_LINES = 45
_WIDE = (
    "% Written for a page of two columns, 18 cm of text. If yours is narrower, shorten the names of the rows, or take"
    "\n"
    r"% \footnotesize."
)
_LONG = "% Too long for one page with its notes, which stand below the end of the table for that reason."
_LONGER = "% More rows than a page has: leave some out, or load longtable."
# As wide as the page's text, whatever the table's width.
_MINIPAGE = r"\begin{minipage}{\linewidth}"
_SIGNS = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # LaTeX's first font encoding has no straight quotation mark.
    '"': "''",
    # Behind the end of a row, LaTeX would take these for an argument.
    **{sign: f"{{{sign}}}" for sign in "[]*"},
    "\u00a0": "~",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "’": "'",
    "‘": r"\textquoteleft{}",
    "“": r"\textquotedblleft{}",
    "”": "''",
    "·": r"\textperiodcentered{}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "²": "$^2$",
    "³": "$^3$",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "Φ": r"$\Phi$",
}
_SIGN = re.compile("|".join(map(re.escape, _SIGNS)))


def as_latex(table: Table) -> str:
    r"""Return the table as a ``table`` environment with caption, label and notes; a wide one as ``table*``.

    The best numbers are bold. A rule and a line of their own part groups of rows, and published ones are in italics.
    All signs that mean something to LaTeX are escaped; letters that its first encoding does not have, such as Chinese
    ones in names, need XeLaTeX or LuaLaTeX.
    """
    is_wide = _width(table, table.shown_columns) > _COLUMN
    blocks, notes = [_block(table, columns) for columns in _blocks(table)], _notes(table)
    n_rows = len(table.rows) + len(table.groups) + 2
    # Blocks that leave no room below each other are tables of their own.
    parts = [[block] for block in blocks] if len(blocks) * n_rows > _MOST_LINES else [blocks]
    is_long = n_rows * len(parts[0]) + sum(1 + len(note) // _PAGE for note in notes) > _MOST_LINES
    text = "\\par\n".join(notes)
    below = ["", r"\medskip", rf"{_MINIPAGE}\footnotesize\raggedright", text, r"\end{minipage}"] if notes else []
    lines = [
        *([_WIDE] if is_wide else []),
        *([_LONG] if is_long else []),
        *([_LONGER] if n_rows > _MOST_LINES else []),
    ]
    for place, part in enumerate(parts):
        has_notes = place == len(parts) - 1 and not is_long
        lines += _float(table, part, is_wide=is_wide, place=place, below=below if has_notes else [])
    if notes and is_long:
        lines.append(rf"{{\noindent\footnotesize\raggedright {text}\par}}")
    return "\n".join(lines) + "\n"


def latex_text(text: str) -> str:
    """Return words so that LaTeX prints them as they are."""
    return _SIGN.sub(lambda found: _SIGNS[found[0]], " ".join(text.split()))


def _float(table: Table, blocks: Sequence[str], *, is_wide: bool, place: int, below: Sequence[str]) -> list[str]:
    """Return the lines of a ``table`` with one or more blocks, the first or one that goes on."""
    environment = "table*" if is_wide else "table"
    key = re.sub("[^A-Za-z0-9_.-]", "-", table.key)
    return [
        rf"\begin{{{environment}}}",
        r"\centering",
        rf"\caption{{{latex_text(table.title)}{', continued' if place else ''}}}",
        rf"\label{{tab:{key}{f'-{place + 1}' if place else ''}}}",
        *([r"\small", r"\setlength{\tabcolsep}{3pt}"] if is_wide else []),
        "\n\n\\medskip\n".join(blocks),
        *below,
        rf"\end{{{environment}}}",
    ]


def _blocks(table: Table) -> list[list[Column]]:
    """Return the columns that stand beside each other; where one block is too wide, alike many in each of several."""
    columns = table.shown_columns
    for n_blocks in range(1, len(columns)):
        starts = [len(columns) * place // n_blocks for place in range(n_blocks + 1)]
        blocks = [columns[start:end] for start, end in pairwise(starts)]
        if all(_width(table, block) <= _PAGE for block in blocks):
            return blocks
    return [[column] for column in columns] or [[]]


def _width(table: Table, columns: Sequence[Column]) -> int:
    """Return how many characters a row has, with the gaps."""
    names = _name_width(table)
    widths = [names if names <= _LONGEST_NAME else _THIRD]
    widths += [max(len(column.title), *(len(table.shown(row, column)) for row in table.rows)) for column in columns]
    return sum(widths) + _GAP * len(columns)


def _name_width(table: Table) -> int:
    return max([len(table.first_heading), *(len(row.name) for row in table.rows)])


def _block(table: Table, columns: Sequence[Column]) -> str:
    alignment = "".join("l" if column.decimals is None else "r" for column in columns)
    names = "l" if _name_width(table) <= _LONGEST_NAME else r"p{.33\linewidth}"
    lines = [
        rf"\begin{{tabular}}{{{names}{alignment}}}",
        r"\toprule",
        _line([table.first_heading, *(column.title for column in columns)]),
    ]
    for group, rows in table.groups:
        lines.append(r"\midrule")
        if group is not None:
            lines.append(_group_line(table, group, len(columns) + 1))
        lines += [_row_line(table, row, columns) for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _group_line(table: Table, group: Group, n_columns: int) -> str:
    title = rf"\emph{{{latex_text(group.title)}}}{_marks(table.marks(group))}"
    return rf"\multicolumn{{{n_columns}}}{{l}}{{{title}}} \\"


def _row_line(table: Table, row: Row, columns: Sequence[Column]) -> str:
    # TeX breaks no word at an underscore by itself.
    name = latex_text(row.name).replace(r"\_", r"\_\allowbreak{}" if _name_width(table) > _LONGEST_NAME else r"\_")
    name = rf"\emph{{{name}}}" if row.is_published else name
    cells = [
        rf"\textbf{{{latex_text(table.shown(row, column))}}}"
        if table.is_best(row, column)
        else latex_text(table.shown(row, column))
        for column in columns
    ]
    return " & ".join([f"{name}{_marks(table.marks(row))}", *cells]) + r" \\"


def _line(texts: Sequence[str]) -> str:
    return " & ".join(map(latex_text, texts)) + r" \\"


def _notes(table: Table) -> list[str]:
    footnotes = [f"{_marks(mark)} {latex_text(text)}" for text, mark in table.footnotes.items()]
    return [*map(latex_text, table.notes), *footnotes]


def _marks(marks: str) -> str:
    return rf"\textsuperscript{{{marks}}}" if marks else ""
