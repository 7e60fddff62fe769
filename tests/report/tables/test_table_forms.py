import csv
import io
import math

from nnunet_mamba.report.tables.as_html import as_html
from nnunet_mamba.report.tables.as_text import as_csv, as_latex, as_markdown
from nnunet_mamba.report.tables.table import Column, Number, Row, Table

LONG = "nnUNetTrainerUltraLightVM_robust_20epochs"


def table(**changes):
    content = {
        "key": "scores",
        "title": "Scores & costs",
        "first_heading": "trainer",
        "columns": [
            Column(key="dice", heading="Dice", decimals=3, better="higher"),
            Column(key="hd95", heading="HD95", unit="mm", decimals=1, better="lower"),
            Column(key="parameters", heading="parameters", unit="M", decimals=2, scale=1e-6),
            Column(key="source", heading="source"),
        ],
        "rows": [
            Row(
                name=LONG,
                cells={
                    "dice": Number(value=0.81249, spread=0.0126),
                    "hd95": Number(value=12.34),
                    "parameters": Number(value=49_425.0),
                },
            ),
            Row(name="B|C", cells={"dice": Number(value=0.8121), "hd95": Number(value=math.nan), "source": "50 %"}),
            Row(name="published", cells={"dice": Number(value=0.99)}, is_published=True),
        ],
        "notes": ["± over folds <5>."],
    }
    return Table(**{**content, **changes})


def test_the_best_shown_number_is_best_and_published_ones_do_not_compete():
    shown = table()
    dice, hd95 = shown.columns[:2]
    # 0.812 and 0.812 as they are shown.
    assert [shown.is_best(row, dice) for row in shown.rows] == [True, True, False]
    # A single number is not the best of anything.
    assert not any(shown.is_best(row, hd95) for row in shown.rows)
    lower = table(
        rows=[Row(name=name, cells={"hd95": Number(value=value)}) for name, value in (("a", 2.0), ("b", 9.0))]
    )
    assert [lower.is_best(row, hd95) for row in lower.rows] == [True, False]


def test_cells_as_people_read_them():
    shown = table()
    assert [shown.shown(shown.rows[0], column) for column in shown.columns] == ["0.812 ± 0.013", "12.3", "0.05", "–"]
    assert [shown.shown(shown.rows[1], column) for column in shown.columns] == ["0.812", "–", "–", "50 %"]


def test_markdown_keeps_its_columns_whatever_names_are():
    lines = as_markdown(table()).splitlines()
    assert lines[:4] == [
        "### Scores & costs",
        "",
        "| trainer | Dice | HD95 (mm) | parameters (M) | source |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    assert lines[4] == r"| nnUNetTrainerUltraLightVM\_robust\_20epochs | **0.812 ± 0.013** | 12.3 | 0.05 | – |"
    assert lines[5].startswith(r"| B\|C | **0.812** |")
    assert lines[-1] == r"± over folds \<5>."


def test_csv_has_plain_units_all_digits_and_spreads_apart():
    rows = list(csv.reader(io.StringIO(as_csv(table()))))
    assert rows[0] == ["name", "dice", "dice_sd", "hd95", "parameters", "source", "published"]
    assert rows[1] == [LONG, "0.81249", "0.0126", "12.34", "49425", "", "0"]
    assert rows[2] == ["B|C", "0.8121", "", "", "", "50 %", "0"]
    assert rows[3][-1] == "1"


def test_latex_escapes_what_has_a_meaning_there():
    text = as_latex(table())
    assert r"nnUNetTrainerUltraLightVM\_robust\_20epochs & \textbf{0.812 $\pm$ 0.013} & 12.3 & 0.05 & -- \\" in text
    assert r"\caption{Scores \& costs. $\pm$ over folds <5>.}" in text
    assert r"50 \%" in text
    assert text.count(r"\midrule") == 2
    assert text.count("{") == text.count("}")


def test_html_escapes_and_marks():
    html = str(as_html(table()))
    assert "<caption>Scores &amp; costs</caption>" in html
    assert '<tr class="published"><th scope="row">published</th>' in html
    assert "<td><b>0.812 ± 0.013</b></td>" in html
    assert html.count("<td>") == 4 * 3
