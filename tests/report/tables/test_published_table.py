import pytest

from nnunet_mamba.published_results import DATASETS, published_rows
from nnunet_mamba.report.tables.published_table import published_points, published_table


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_row_is_marked_and_tells_its_source_and_protocol(dataset):
    table = published_table(dataset)
    printed = [row for row in published_rows(dataset=dataset) if not row.table.is_ablation]
    assert len(table.rows) == len(printed) > 0
    assert all(row.is_published and row.cells["source"] and row.cells["protocol"] for row in table.rows)
    assert "Measured by others" in table.notes[0]
    assert len(set(table.notes)) == len(table.notes)


def test_the_printed_numbers_are_shown_as_printed():
    table = published_table("isic17")
    ours = next(row for row in table.rows if row.name == "UltraLight VM-UNet")
    shown = {column.heading: table.shown(ours, column) for column in table.columns}
    assert (shown["Dice"], shown["SE"], shown["parameters"]) == ("0.9091", "0.9053", "0.049")
    assert shown["source"] == "Wu et al. 2024, Table 1"


def test_points_have_parameters_and_dice():
    points = published_points("isic17")
    assert {"UltraLight VM-UNet", "UltraLBM-UNet-T"} <= {point.name for point in points}
    assert all(point.n_parameters > 1000 and 0.5 < point.dice < 1 for point in points)
