import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from latex_checks import n_cells, refuse_malformed, tabulars

from nnunet_mamba.report.tables.as_latex import as_latex, latex_text
from nnunet_mamba.report.tables.table import Column, Row, Table

PLAIN = Table(
    key="plain",
    title="T",
    first_heading="trainer",
    columns=[Column(key="dice", heading="Dice", decimals=4)],
    rows=[Row(name="A", cells={})],
)


def compiled(body, folder):
    preamble = r"\documentclass{article}\usepackage{booktabs}\setlength{\textwidth}{18cm}\setlength{\textheight}{24cm}"
    document = rf"{preamble}\begin{{document}}{body}\end{{document}}"
    (folder / "a.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-draftmode", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_plain_table():
    assert as_latex(PLAIN) == (
        "\\begin{table}\n\\centering\n\\caption{T}\n\\label{tab:plain}\n\\begin{tabular}{lr}\n\\toprule\n"
        "trainer & Dice \\\\\n\\midrule\nA & -- \\\\\n\\bottomrule\n\\end{tabular}\n\\end{table}\n"
    )


def test_what_is_written_is_well_formed(awkward_table, wide_table):
    for table in (awkward_table, wide_table, PLAIN):
        refuse_malformed(as_latex(table))


def test_latex_escapes_what_has_a_meaning_there(awkward_table):
    text = as_latex(awkward_table)
    assert r"nnUNetTrainerUltraLightVM\_robust\_20epochs & \textbf{0.812 $\pm$ 0.013} & 12.3 & 0.05 & -- & --" in text
    assert r"\caption{Scores \& costs}" in text
    assert r"50 \%" in text
    assert r"$\pm$ over folds \textless{}5\textgreater{}." in text
    assert text.count(r"\midrule") == 3


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("# $ % & _ { }", r"\# \$ \% \& \_ \{ \}"),
        ("\\", r"\textbackslash{}"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        ("<|>", r"\textless{}\textbar{}\textgreater{}"),
        ("−1 – 2×3", r"$-$1 -- 2$\times$3"),
        ("[a]*", "{[}a{]}{*}"),
        ("Müller", "Müller"),
    ],
)
def test_special_characters_are_escaped(text, escaped):
    assert latex_text(text) == escaped


def test_published_rows_are_marked_and_remarks_stand_below(awkward_table):
    text = as_latex(awkward_table)
    assert (
        "\\midrule\n\\multicolumn{6}{l}{\\emph{Published, by other hands: A, Table 1}\\textsuperscript{a,b}} \\\\\n"
        "\\emph{A-Net}\\textsuperscript{c} & 0.990 & -- & -- & -- & -- \\\\\n"
    ) in text
    notes = text[text.index(r"\begin{minipage}{\linewidth}") :]
    assert r"\textsuperscript{b} On 10 \% of it." in notes


def test_letters_are_as_large_in_every_table(awkward_table, wide_table):
    for table in (awkward_table, wide_table):
        text = as_latex(table)
        assert "resizebox" not in text
        assert (r"\small" in text) == (r"\begin{table*}" in text) == (r"\setlength{\tabcolsep}" in text)


def test_columns_too_many_for_a_page_go_on_below_beside_the_same_names(wide_table):
    blocks = tabulars(as_latex(wide_table))
    assert len(blocks) > 1
    names = [[line.partition(" & ")[0] for line in block.splitlines() if " & " in line] for block in blocks]
    assert all(each == names[0] for each in names)
    headings = [cell for block in blocks for cell in re.findall(r"organ number \d+", block)]
    assert headings == [column.heading for column in wide_table.columns]
    n_columns = [n_cells(block.splitlines()[2]) for block in blocks]
    assert max(n_columns) - min(n_columns) <= 1


def test_notes_that_leave_no_room_on_the_page_stand_below_the_table(awkward_table):
    text = as_latex(replace(awkward_table, rows=[*awkward_table.rows * 12]))
    refuse_malformed(text)
    assert "% Too long for one page with its notes" in text
    assert "% More rows than a page has" in text
    assert text.index(r"\end{table*}") < text.index("over folds")
    assert "%" not in as_latex(PLAIN)


def test_blocks_that_leave_no_room_below_each_other_are_tables_of_their_own(wide_table):
    text = as_latex(replace(wide_table, rows=wide_table.rows * 8, notes=["A note."]))
    refuse_malformed(text)
    assert text.count(r"\begin{table*}") == len(tabulars(text)) > 1
    assert re.findall(r"\\label\{(.*?)\}", text)[:2] == [
        "tab:dice_by_label",
        "tab:dice_by_label-2",
    ]
    assert r"\caption{Dice, continued}" in text
    assert text.count("A note.") == 1


def test_names_of_pairs_break_and_leave_room_for_numbers(awkward_table):
    name = " − ".join(["nnUNetTrainerUltraLightVMNoMamba_robust_20epochs"] * 2)
    text = as_latex(replace(awkward_table, rows=[replace(awkward_table.rows[0], name=name)]))
    refuse_malformed(text)
    assert len(tabulars(text)) == 1
    assert r"\begin{tabular}{p{.33\linewidth}rrrll}" in text
    assert r"UltraLightVMNoMamba\_\allowbreak{}robust\_\allowbreak{}20epochs $-$ nnUNet" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not there")
def test_tex_takes_it(awkward_table, wide_table, tmp_path):
    if compiled("Nothing.", tmp_path).returncode:
        pytest.skip("pdflatex has no booktabs")
    long = replace(awkward_table, rows=[replace(row, name=f"{row.name} − {row.name}") for row in wide_table.rows * 8])
    done = compiled("\n".join(as_latex(table) for table in (awkward_table, wide_table, long, PLAIN)), tmp_path)
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in done.stdout
    assert "Float too large" not in done.stdout
