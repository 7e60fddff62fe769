import csv
import io
from dataclasses import replace

import pytest

from nnunet_mamba.report.tables.as_csv import as_csv
from nnunet_mamba.report.tables.table import Column, Number, Row


def read(table):
    return list(csv.reader(io.StringIO(as_csv(table))))


def test_csv_has_plain_units_all_digits_and_spreads_apart(awkward_table):
    rows = read(awkward_table)
    assert rows[0] == ["name", "dice", "dice_sd", "hd95_mm", "parameters", "source", "p", "published", "remarks"]
    assert rows[1][1:-1] == ["0.81249", "0.0126", "12.34", "49425", "", repr(1 / 3), "0"]
    assert rows[2][1:-1] == ["0.8121", "", "", "", "50 %", "", "0"]
    assert rows[3][-2:] == ["1", "Both papers draw slices. | On 10 % of it. | Its ± is 0."]
    assert {len(row) for row in rows} == {len(rows[0])}


@pytest.mark.parametrize("value", [1 / 3, 1e-300, 123456789.123456, 0.1 + 0.2])
def test_a_number_is_read_as_the_same_number(awkward_table, value):
    table = replace(awkward_table, rows=[Row(name="a", cells={"dice": Number(value=value)})])
    assert float(read(table)[1][1]) == value


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1"])
def test_no_text_is_a_formula(awkward_table, name):
    table = replace(awkward_table, rows=[Row(name=name, cells={"source": name, "dice": Number(value=-0.5)})])
    row = dict(zip(*read(table)[:2], strict=True))
    assert (row["name"], row["source"]) == (f"'{name}", f"'{name}")
    # A number below 0 stays one.
    assert row["dice"] == "-0.5"


def test_no_two_columns_have_one_name(awkward_table):
    columns = [Column(key=key, heading=key, decimals=1, csv_name="dice_a_b") for key in ("a b", "a-b", "c")]
    columns[2] = replace(columns[2], csv_name="dice_c")
    assert read(replace(awkward_table, columns=columns, rows=awkward_table.rows[:1]))[0] == [
        *("name", "a b", "a-b", "dice_c", "published")
    ]
