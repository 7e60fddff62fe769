import csv
import io

import pytest

from nnunet_mamba.comparison.case_groups import read_groups
from nnunet_mamba.comparison.comparing import ComparisonOptions, compare_models
from nnunet_mamba.report.tables.as_csv import as_csv
from nnunet_mamba.report.tables.difference_table import difference_table


@pytest.fixture
def comparison(make_model):
    first = {f"case_{number}": 20 - number % 3 for number in range(12)}
    second = {name: found - (number % 4 > 0) for number, (name, found) in enumerate(first.items())}
    models = [make_model("A", second), make_model("B", first)]
    return compare_models(models, read_groups(list(first), None), ComparisonOptions())


def test_people_read_a_pair_in_one_place(comparison):
    table = difference_table(comparison)
    (row,) = table.rows
    shown = {column.heading: table.shown(row, column) for column in table.shown_columns}
    assert list(shown) == ["difference", "95 % interval", "p (Holm)", "d_z", "wins / ties / losses", "cases"]
    assert row.name == "A − B"
    assert shown["difference"].startswith("−0.0")
    assert shown["95 % interval"].startswith("−0.0")
    assert shown["wins / ties / losses"] == "0 / 3 / 9"


def test_programs_find_every_number_apart(comparison):
    (found,) = csv.DictReader(io.StringIO(as_csv(difference_table(comparison))))
    values = comparison.rows[0].values
    assert (found["first"], found["second"]) == ("A", "B")
    assert [float(found[f"difference{part}"]) for part in ("", "_low", "_high")] == [
        values.difference,
        values.low,
        values.high,
    ]
    assert [found[key] for key in ("wins", "ties", "losses", "n_cases")] == ["0", "3", "9", "12"]
    assert float(found["p_holm"]) == comparison.rows[0].p_holm


def test_labels_of_a_pair_stand_below_its_names(organs):
    models = [organs(name, spoilt=spoilt).model.compared for name, spoilt in (("A", None), ("B", 3))]
    comparison = compare_models(models, read_groups(list("abcd"), None), ComparisonOptions())
    table = difference_table(comparison)
    ((group, rows),) = table.groups
    assert group.title == "A − B"
    assert [row.name for row in rows] == [*(f"organ {number}" for number in range(13)), "mean of labels"]
    assert table.first_heading == "label"
    assert [row["label"] for row in csv.DictReader(io.StringIO(as_csv(table)))] == [row.name for row in rows]
