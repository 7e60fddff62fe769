import re

from nnunet_mamba.report.tables.as_markdown import as_markdown


def n_cells(line):
    return len(re.findall(r"(?<!\\)\|", line)) - 1


def test_markdown_keeps_its_columns_whatever_names_are(awkward_table):
    lines = as_markdown(awkward_table).splitlines()
    assert lines[:4] == [
        r"### Scores \& costs",
        "",
        "| trainer | Dice | HD95 (mm) | parameters (M) | source | in words |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    assert lines[4] == r"| nnUNetTrainerUltraLightVM\_robust\_20epochs | **0.812 ± 0.013** | 12.3 | 0.05 | – | – |"
    assert lines[5].startswith(r"| a\|b\_ \& 50% \#1 {x}\~^\\\$\<i\>\*y\*\</i\>\[z\] | **0.812** |")
    assert {n_cells(line) for line in lines if line.startswith("|")} == {6}


def test_published_rows_stand_below_their_source_and_remarks_below_the_notes(awkward_table):
    lines = as_markdown(awkward_table).splitlines()
    assert lines[6:8] == [
        "| ***Published, by other hands: A, Table 1***<sup>a,b</sup> |  |  |  |  |  |",
        "| *A-Net*<sup>c</sup> | 0.990 | – | – | – | – |",
    ]
    notes = [line for line in lines[10:] if line]
    assert notes == [
        r"± over folds \<5\>.",
        "<sup>a</sup> Both papers draw slices.",
        "<sup>b</sup> On 10 % of it.",
        "<sup>c</sup> Its ± is 0.",
    ]


def test_thirteen_organs_have_thirteen_columns(wide_table):
    lines = [line for line in as_markdown(wide_table).splitlines() if line.startswith("|")]
    assert [n_cells(line) for line in lines] == [14] * 4
