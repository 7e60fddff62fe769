from dataclasses import fields

import numpy as np
import pytest

from nnunet_mamba.measurements.label_statistics import AreaStatistics, VolumeStatistics, measure
from nnunet_mamba.measurements.table_columns import COLUMNS, table_row


@pytest.mark.parametrize(("kind", "shape"), [(AreaStatistics, (4, 5)), (VolumeStatistics, (3, 4, 5))])
@pytest.mark.parametrize("value", [0, 1])
def test_every_figure_has_a_column_and_every_column_its_place(kind, shape, value):
    (figures,) = measure(np.full(shape, value, np.uint8), labels={"lesion": 1}, spacing=(1.0,) * len(shape))
    row = table_row(figures, image="a.jpg", mask="a.png")
    assert list(row) == [name for name in COLUMNS if name in row]
    places = {f"{name}_{axis}" for name in ("centroid", "first", "last") for axis in "xyz"[: len(shape)]}
    plain = {field.name for field in fields(kind)} - {"centroid", "first", "last"}
    assert row.keys() == {"image", "mask"} | plain | places


def test_places_are_those_of_their_axes():
    label_map = np.zeros((5, 6, 7), np.uint8)
    label_map[1:4, 2:5, 3:4] = 1
    (figures,) = measure(label_map, labels={"lesion": 1})
    row = table_row(figures, image="a", mask="a")
    assert [row[f"centroid_{axis}"] for axis in "zyx"] == [2.0, 3.0, 3.0]
    assert [row[f"first_{axis}"] for axis in "zyx"] == [1, 2, 3]
    assert [row[f"last_{axis}"] for axis in "zyx"] == [3, 4, 3]


def test_figures_are_rounded_to_what_they_tell():
    (figures,) = measure(np.ones((7, 3), np.uint8), labels={"lesion": 1}, spacing=(1 / 3, 1 / 3))
    assert table_row(figures, image="a", mask="a")["area_mm2"] == 2.333333
