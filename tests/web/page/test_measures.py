import csv
import io

import numpy as np
import pytest

SCRIPT = """
import { csvTable, measure, mmPerPixel } from "./measures.js";
const mask = new Uint8Array(read("mask"));
const measures = measure(mask, { width: 4, height: 4 }, { width: 40, height: 80 }, mmPerPixel(given.scale));
const row = { name: given.name, size: { width: 40, height: 80 }, threshold: 0.5, measures };
told = { ...measures, csv: csvTable([{ ...row, mmPerPixel: mmPerPixel(given.scale) }], "a-model") };
"""
MASK = np.zeros((4, 4), dtype=np.uint8)
MASK[1, 1:3] = 1


def measured(node, *, name="a.png", pixels=None, mm=None):
    return node.run(SCRIPT, given={"name": name, "scale": {"pixels": pixels, "mm": mm}}, mask=MASK)


def test_areas_are_those_of_the_photograph(node):
    told = measured(node, pixels=20, mm=5)
    assert (told["pixels"], told["percent"], told["mm2"]) == (400, 12.5, 25)


@pytest.mark.parametrize(
    ("pixels", "mm"), [(None, None), (10, None), (None, 5), (0, 5), (10, 0), (-1, 5), (1e-320, 1e300)]
)
def test_without_a_scale_that_makes_sense_there_is_no_area_in_mm(node, pixels, mm):
    assert measured(node, pixels=pixels, mm=mm)["mm2"] is None


def test_the_table_can_be_read_by_others(node):
    name = 'left, "2"\n.png'
    (row,) = csv.DictReader(io.StringIO(measured(node, name=name, pixels=30, mm=1)["csv"], newline=""))
    assert row["image"] == name
    assert float(row["area_pixels"]) == 400
    assert float(row["mm_per_pixel"]) == pytest.approx(1 / 30, rel=1e-5)
    assert float(row["area_mm2"]) == pytest.approx(400 / 900, rel=1e-5)
    assert row["model"] == "a-model"
