"""What can be told of LaTeX without TeX: braces, environments, and the cells of each row."""

import re


def tabulars(text):
    """The tabulars in a text, each with its columns in front."""
    return re.findall(r"\\begin\{tabular\}(.*?)\\end\{tabular\}", text, re.DOTALL)


def n_cells(line):
    """Columns that a row fills, those of \\multicolumn with all that they span."""
    spans = [int(span) for span in re.findall(r"\\multicolumn\{(\d+)\}", line)]
    return len(re.findall(r"(?<!\\)&", line)) + 1 + sum(spans) - len(spans)


def refuse_malformed(text):
    """Fail unless braces, formulas and environments end, all rows fill the columns, and all signs are LaTeX's."""
    code = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    bare = re.sub(r"\\[{}$%&#_]", "", code)
    depth = 0
    for sign in bare:
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0, "a brace ends that has not begun"
    assert depth == 0, "a brace does not end"
    assert bare.count("$") % 2 == 0, "a formula does not end"
    assert not re.search(r"(?<!\\)[%#~^]", re.sub(r"\$[^$]*\$", "", bare)), "a sign of TeX is not escaped"
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{([\w*]+)\}", code):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    for block in tabulars(text):
        columns = re.match(r"\{((?:[lr]|p\{[^}]*\})+)\}", block)[1]
        rows = [line for line in block.splitlines() if line.endswith(r"\\")]
        assert len(rows) > 1
        assert {n_cells(row) for row in rows} == {len(re.sub(r"\{.*?\}", "", columns))}
    assert {sign for sign in code if not sign.isascii() and not sign.isalpha()} == set()
