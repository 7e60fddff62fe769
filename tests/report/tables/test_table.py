from dataclasses import replace

from nnunet_mamba.report.tables.table import Group, Number, Row


def test_the_best_shown_number_is_best_and_published_ones_do_not_compete(awkward_table):
    dice, hd95 = awkward_table.columns[:2]
    # 0.812 and 0.812 as they are shown.
    assert [awkward_table.is_best(row, dice) for row in awkward_table.rows] == [True, True, False, False]
    # A single number is not the best of anything.
    assert not any(awkward_table.is_best(row, hd95) for row in awkward_table.rows)
    lower = replace(
        awkward_table,
        rows=[Row(name=name, cells={"hd95": Number(value=value)}) for name, value in (("a", 2.0), ("b", 9.0))],
    )
    assert [lower.is_best(row, hd95) for row in lower.rows] == [True, False]


def test_rows_of_two_groups_do_not_compete(awkward_table):
    rows = [
        Row(name=name, cells={"dice": Number(value=value)}, group=Group(title=group))
        for name, value, group in (("a", 0.1, "first"), ("b", 0.2, "first"), ("c", 0.9, "second"), ("d", 0.8, "second"))
    ]
    table = replace(awkward_table, rows=rows)
    assert [table.is_best(row, table.columns[0]) for row in rows] == [False, True, True, False]


def test_cells_as_people_read_them(awkward_table):
    def shown(place):
        return [awkward_table.shown(awkward_table.rows[place], column) for column in awkward_table.shown_columns]

    assert shown(0) == ["0.812 ± 0.013", "12.3", "0.05", "–", "–"]
    assert shown(1) == ["0.812", "–", "–", "50 %", "–"]
    # As printed, with more digits than the column's.
    assert shown(3) == ["0.79955", "–", "–", "–", "–"]


def test_each_remark_has_one_letter_in_the_order_of_the_rows(awkward_table):
    assert awkward_table.footnotes == {"Both papers draw slices.": "a", "On 10 % of it.": "b", "Its ± is 0.": "c"}
    first, second = (group for group, _ in awkward_table.groups if group is not None)
    assert [awkward_table.marks(each) for each in (first, second)] == ["a,b", "a"]
    assert [awkward_table.marks(row) for row in awkward_table.rows] == ["", "", "c", ""]


def test_letters_go_on_behind_z(awkward_table):
    rows = [Row(name=str(number), cells={}, remarks=(f"remark {number}",)) for number in range(30)]
    assert list(replace(awkward_table, rows=rows).footnotes.values())[24:] == ["y", "z", "aa", "ab", "ac", "ad"]


def test_a_number_below_zero_has_a_minus_and_none_that_is_rounded_to_zero(awkward_table):
    column = awkward_table.columns[0]
    rows = [Row(name="a", cells={"dice": Number(value=value)}) for value in (-0.5, -0.0001)]
    assert [awkward_table.shown(row, column) for row in rows] == ["−0.500", "0.000"]
