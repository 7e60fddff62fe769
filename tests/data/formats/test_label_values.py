import json

import numpy as np
import pytest

from nnunet_mamba.data.formats.label_values import (
    LabelValues,
    UnknownValuesError,
    colour_codes,
    label_map,
    read_label_values,
)


@pytest.fixture
def write_json(tmp_path):
    def write(text):
        path = tmp_path / "labels.json"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("mapping", "numbers"),
    [
        ({"background": 0, "lesion": 255}, {"background": 0, "lesion": 1}),
        ({"lesion": "#ff0000"}, {"background": 0, "lesion": 1}),
        ({"b": 7, "a": [3, 4], "background": 9}, {"background": 0, "b": 1, "a": 2}),
        ({"ignore": 255, "organ": 1}, {"background": 0, "organ": 1, "ignore": 2}),
    ],
)
def test_labels_are_numbered_in_their_order(mapping, numbers):
    assert LabelValues.of(mapping).numbers == numbers
    assert list(LabelValues.of(mapping).numbers.values()) == list(range(len(numbers)))


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({}, "expected at least one besides background"),
        ({"background": 0, "ignore": 255}, "expected at least one besides background"),
        ({"lesion": 0}, "value 0 stands for two labels, 'background' and 'lesion'"),
        ({"a": [1, 2], "b": 2}, "value 2 stands for two labels, 'a' and 'b'"),
        ({"a": 255, "b": "#FFFFFF"}, "value '#ffffff' stands for two labels"),
        ({"a": [1, 1]}, "label 'a' has the value 1 twice"),
        ({"a": []}, "label 'a' has no value"),
        ({"a": True}, "label 'a', value True: expected an integer"),
        ({"a": 1.5}, "value 1.5"),
        ({"a": "red"}, "value 'red'"),
        ({"a": "#ff00"}, "value '#ff00'"),
        ({"a": None}, "value None"),
        ({"": 1}, "a label without a name"),
        ({str(number): number for number in range(1, 256)}, "256 labels: expected at most 255"),
    ],
)
def test_mappings_that_mean_nothing_are_refused(mapping, text):
    with pytest.raises(ValueError, match=text):
        LabelValues.of(mapping)


def test_reads_a_json_file(write_json):
    labels = read_label_values(write_json('\ufeff{"naevus": [255, "#FF0000"], "hair": 10}'))
    assert labels.recorded() == {"background": [0], "naevus": [255, "#ff0000"], "hair": [10]}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[1, 2]", "holds a list, expected a JSON object"),
        ('{"a": 1, "a": 2}', "the name 'a' occurs twice"),
        ('{"a": 1', r"is not JSON \(Expecting"),
        ('{"a": {"b": 1}}', "label 'a', value"),
    ],
)
def test_other_json_files_are_refused_by_name(write_json, content, text):
    with pytest.raises(ValueError, match=rf"`labels` .*labels\.json.* {text}"):
        read_label_values(write_json(content))


def test_every_grey_level_gets_its_own_label_and_no_other():
    labels = LabelValues.of({"background": [0, 3], "a": [1, 250], "b": [2, 255]})
    known = {0: 0, 3: 0, 1: 1, 250: 1, 2: 2, 255: 2}
    number_of = labels.in_colours()
    for value in range(256):
        pixels = np.full((2, 3), value, np.uint8)
        if value in known:
            assert label_map(colour_codes(pixels), number_of, colours=True).tolist() == [[known[value]] * 3] * 2
        else:
            with pytest.raises(UnknownValuesError, match=rf"1 unknown value: {value} \(6x\); expected 0, 1, 2, 3"):
                label_map(colour_codes(pixels), number_of, colours=True)


def test_every_integer_gets_its_own_label_and_no_other():
    mapping = {"background": [0, -1], "organ": [1, 3000], "vessel": 300}
    number_of = LabelValues.of(mapping).in_integers()
    values = np.array([[0, -1, 1], [3000, 300, 0]])
    for dtype in (np.int16, np.int32, np.float32, np.float64):
        assert label_map(values.astype(dtype), number_of, colours=False).tolist() == [[0, 0, 1], [1, 2, 0]]
    with pytest.raises(UnknownValuesError, match=r"2 unknown values: 0.5 \(1x\), nan \(1x\)"):
        label_map(np.array([0.5, 1, np.nan]), number_of, colours=False)


def test_no_label_takes_the_mark_of_unknown_values():
    number_of = LabelValues.of({str(number): number for number in range(1, 255)}).in_integers()
    assert label_map(np.arange(255), number_of, colours=False).tolist() == list(range(255))


def test_colours_differ_from_grey_levels():
    red, blue, grey = (255, 0, 0), (0, 0, 255), (10, 10, 10)
    labels = LabelValues.of({"lesion": "#FF0000", "hair": 10})
    pixels = np.array([[red, grey, (0, 0, 0)]], np.uint8)
    assert label_map(colour_codes(pixels), labels.in_colours(), colours=True).tolist() == [[1, 2, 0]]
    with pytest.raises(UnknownValuesError, match=r"1 unknown value: #0000ff \(1x\); expected 0, 10, #ff0000"):
        label_map(colour_codes(np.array([[blue, grey]], np.uint8)), labels.in_colours(), colours=True)


def test_unknown_values_are_named_with_their_counts_commonest_first():
    values = np.repeat(np.arange(1, 11), np.arange(1, 11))
    with pytest.raises(UnknownValuesError) as caught:
        label_map(values, {0: 0}, colours=False)
    assert "10 unknown values: 10 (10x), 9 (9x), 8 (8x)" in str(caught.value)
    assert "and 2 more; expected 0; name them in `labels`" in str(caught.value)


def test_the_way_out_depends_on_what_the_values_look_like():
    greys = colour_codes(np.arange(1, 40, dtype=np.uint8)[None])
    with pytest.raises(UnknownValuesError, match="`threshold=127`"):
        label_map(greys, {0: 0}, colours=True)
    with pytest.raises(UnknownValuesError, match="without loss, as PNG"):
        label_map(greys & 0xFFFF00, {0: 0}, colours=True)
    with pytest.raises(UnknownValuesError, match="name them in `labels`"):
        label_map(greys[:, :3], {0: 0}, colours=True)


@pytest.mark.parametrize("value", [256, -1])
def test_pictures_have_no_such_values(value):
    labels = LabelValues.of({"a": value})
    with pytest.raises(ValueError, match=f"label 'a', value {value}: pictures hold 0 to 255"):
        labels.in_colours()
    assert labels.in_integers() == {0: 0, value: 1}


def test_volumes_have_no_colours():
    with pytest.raises(ValueError, match="label 'a', value '#ff0000': volumes have no colours"):
        LabelValues.of({"a": "#ff0000"}).in_integers()


def test_dataset_json_gets_numbers_or_regions():
    labels = LabelValues.of({"a": 5, "b": 6, "ignore": 255})
    assert labels.for_dataset_json(sigmoid=False) == ({"background": 0, "a": 1, "b": 2, "ignore": 3}, None)
    assert labels.for_dataset_json(sigmoid=True) == ({"background": 0, "a": [1, 1], "b": [2, 2], "ignore": 3}, (1, 2))


@pytest.mark.parametrize("sigmoid", [False, True])
def test_nnunets_label_manager_takes_them(sigmoid):
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    described, order = LabelValues.of({"a": 5, "b": 6, "ignore": 255}).for_dataset_json(sigmoid=sigmoid)
    labels = LabelManager(json.loads(json.dumps(described)), order)
    assert labels.has_regions == sigmoid
    assert labels.num_segmentation_heads == (2 if sigmoid else 3)
    assert labels.ignore_label == 3


def test_ignored_positions_are_no_foreground():
    label = np.array([0, 1, 2, 2], np.uint8)
    assert LabelValues.of({"a": 5, "b": 6}).foreground_share(label) == 0.75
    assert LabelValues.of({"a": 5, "ignore": 255}).foreground_share(label) == 0.25


@pytest.mark.parametrize("name", ["Ignore", "IGNORE", " ignore", "Background", "background "])
def test_nnunets_own_names_are_refused_in_other_letters(name):
    with pytest.raises(ValueError, match=rf"label '{name}': .* write '{name.strip().lower()}'"):
        LabelValues.of({"lesion": 1, name: 255})


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({"Lesion": 1, "lesion": 2}, "labels 'Lesion' and 'lesion' differ in capitals only"),
        ({"lesion ": 1}, "begins or ends with a space"),
        ({" ": 1}, "a label without a name"),
        ({7: 1}, "a label without a name, 7"),
        ({"lesion": 2**40}, "value 1099511627776: expected -2147483647 to 2147483647"),
        ({"lesion": float("nan")}, "value nan: expected an integer"),
        ({"lesion": [[1]]}, r"value \[1\]: expected an integer"),
        ({"lesion": "255"}, "value '255': expected an integer"),
        ({"a": [0, 1]}, "or give 'background', which is 0 if not named, another"),
    ],
)
def test_names_and_values_that_are_none_are_refused(mapping, text):
    with pytest.raises(ValueError, match=text):
        LabelValues.of(mapping)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_reads_what_editors_of_windows_save(tmp_path, encoding):
    (tmp_path / "labels.json").write_bytes('{"lésion": 255}'.encode(encoding))
    assert read_label_values(tmp_path / "labels.json").numbers == {"background": 0, "lésion": 1}


@pytest.mark.parametrize("content", ["", "null", "NaN", "3", '"a"', "[" * 100_000])
def test_other_content_is_no_label_file(write_json, content):
    with pytest.raises(ValueError, match=r"`labels` .*labels\.json (is|holds) "):
        read_label_values(write_json(content))


def test_nan_is_called_nan_and_not_to_be_named():
    with pytest.raises(UnknownValuesError) as caught:
        label_map(np.array([0, 1, np.nan]), {0: 0, 1: 1}, colours=False)
    assert "1 unknown value: nan (1x)" in str(caught.value)
    assert "NaN and infinity are no labels" in str(caught.value)
    assert "`labels`" not in str(caught.value)


def test_values_are_shown_with_the_digits_that_tell_them_from_labels():
    with pytest.raises(
        UnknownValuesError, match=r"1 unknown value: 1\.0000000002 \(1x\); expected 0, 1; values between"
    ):
        label_map(np.array([0, 1 + 2e-10]), {0: 0, 1: 1}, colours=False)


def test_a_mask_without_foreground_is_empty_even_if_all_of_it_is_ignored():
    labels = LabelValues.of({"a": 5, "ignore": 255})
    assert labels.empty_text(np.array([0, 1, 2], np.uint8), "pixel") == ""
    assert "empty mask: every pixel is background" in labels.empty_text(np.zeros(4, np.uint8), "pixel")
    assert "every pixel is 'ignore' (4 are 'ignore')" in labels.empty_text(np.full(4, 2, np.uint8), "pixel")
    assert "every pixel is 'ignore' or background" in labels.empty_text(np.array([0, 2], np.uint8), "pixel")
