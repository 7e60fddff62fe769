import json
from functools import partial

import numpy as np
import pytest
from own_folders import convert, dataset_json, draw_folder, label
from PIL import Image

from nnunet_mamba.data.formats.label_values import LabelValues
from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE


@pytest.fixture
def draw(tmp_path):
    return partial(draw_folder, tmp_path / "source")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "raw" / "Dataset105_Folder"


@pytest.mark.parametrize("values", [(0, 255), (0, 1)])
def test_two_valued_masks_need_no_mapping(draw, target, values):
    root = draw("images/{}.png", "masks/{}.png", values)
    convert(root, target)
    for name in "abc":
        assert np.array_equal(label(target, name), np.asarray(Image.open(root / f"masks/{name}.png")) == values[1])
    assert json.loads((target / RECORD_FILE).read_text())["options"]["source_labels"]["foreground"] == [values[1]]


@pytest.mark.parametrize("values", [(0, 2), (0, 1, 2), (0, 254), (0, 1, 255), (0, 128, 255), (0, 127)])
def test_no_other_mapping_is_inferred(draw, target, values):
    with pytest.raises(InvalidDatasetError, match="3 problems found") as caught:
        convert(draw("images/{}.png", "masks/{}.png", values), target)
    assert "unknown value" in str(caught.value)
    assert not target.exists()


def test_both_ways_to_write_two_values_do_not_mix(draw, target):
    draw("images/{}.png", "masks/{}.png", (0, 1), cases="a")
    root = draw("images/{}.png", "masks/{}.png", (0, 255), cases="bc")
    with pytest.raises(InvalidDatasetError, match=r"2 problems[\s\S]*b: 1 unknown value: 255 \(\d+x\); expected 0, 1"):
        convert(root, target)


def test_masks_of_one_value_do_not_decide(draw, target):
    draw("images/{}.png", "masks/{}.png", (1,), cases="a")
    root = draw("images/{}.png", "masks/{}.png", (0, 255), cases="bc")
    with pytest.raises(InvalidDatasetError, match=r"a: 1 unknown value: 1 \(192x\); expected 0, 255"):
        convert(root, target)


def test_grey_levels_need_a_threshold(draw, target):
    root = draw("images/{}.png", "masks/{}.png", range(256))
    with pytest.raises(InvalidDatasetError, match="draw the line with `threshold=127`"):
        convert(root, target)
    convert(root, target, threshold=127)
    assert np.array_equal(label(target), np.asarray(Image.open(root / "masks/a.png")) > 127)


def test_label_map_is_the_mapping_value_by_value(draw, target):
    mapping = {"background": [0, 9], "naevus": 50, "hair": [51, 255], "ruler": 10}
    root = draw("images/{}.png", "masks/{}.png", (0, 9, 50, 51, 255, 10, 0))
    convert(root, target, labels=LabelValues.of(mapping))
    mask = np.asarray(Image.open(root / "masks/a.png"))
    for value, number in {0: 0, 9: 0, 50: 1, 51: 2, 255: 2, 10: 3}.items():
        assert (label(target)[mask == value] == number).all()
    assert dataset_json(target)["labels"] == {"background": 0, "naevus": 1, "hair": 2, "ruler": 3}
    assert json.loads((target / RECORD_FILE).read_text())["options"]["source_labels"] == {
        "background": [0, 9], "naevus": [50], "hair": [51, 255], "ruler": [10],
    }  # fmt: skip


def test_colours_are_labels_too(draw, target):
    root = draw("images/{}.png", "masks/{}.png", ((0, 0, 0), (255, 0, 0), (0, 255, 0)))
    convert(root, target, labels=LabelValues.of({"lesion": "#ff0000", "hair": "#00ff00"}))
    mask = np.asarray(Image.open(root / "masks/a.png"))
    assert np.array_equal(label(target), (mask[..., 0] > 0) + 2 * (mask[..., 1] > 0))


def test_labels_and_threshold_exclude_each_other(draw, target):
    root = draw("images/{}.png", "masks/{}.png")
    with pytest.raises(ValueError, match="give one"):
        convert(root, target, labels=LabelValues.of({"a": 255}), threshold=127)


def test_labels_that_pictures_cannot_have_are_refused_once(draw, target):
    with pytest.raises(ValueError, match="label 'a', value 1000: pictures hold") as caught:
        convert(draw("images/{}.png", "masks/{}.png"), target, labels=LabelValues.of({"a": 1000}))
    assert not isinstance(caught.value, InvalidDatasetError)
