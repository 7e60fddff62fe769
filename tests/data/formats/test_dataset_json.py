import json
import re

import pytest

from nnunet_mamba.data.formats.dataset_json import dataset_json_in, labels_in, read_dataset_json


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "dataset.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_dataset_json(path)

    return read


def written(labels, **more):
    return f'{{"labels": {labels}, "file_ending": ".png"{"".join(f", {json.dumps(k)}: {v}" for k, v in more.items())}}}'


def test_labels_regions_and_file_ending_are_read(read):
    plain = read(written('{"background": 0, "organ": 1.0, "tumour": [2], "ignore": 3}'))
    assert plain.labels.names == {"1": "organ", "(2,)": "tumour", "2": "tumour"}
    assert plain.labels.in_label_maps == [0, 1, 2, 3]
    assert plain.content["labels"] == {"background": 0, "organ": 1, "tumour": [2], "ignore": 3}
    assert (plain.labels.has_regions, plain.file_ending) == (False, ".png")
    regions = read(written('{"background": 0, "whole": [1, 2], "core": 2}', regions_class_order="[1, 2]"))
    assert regions.labels.has_regions
    assert regions.labels.regions_class_order == (1, 2)
    assert (plain.labels.n_outputs, regions.labels.n_outputs) == (3, 2)
    assert regions.labels.in_label_maps == [0, 1, 2]
    assert regions.labels.names == {"(1, 2)": "whole", "2": "core"}


def test_content_that_is_kept_elsewhere_is_read_as_well(read):
    text = written('{"background": 0, "organ": 1.0}')
    assert dataset_json_in(json.loads(text)) == read(text)
    with pytest.raises(ValueError, match=r'model\.json: it has no "file_ending"'):
        dataset_json_in({"labels": {"background": 0, "organ": 1}}, place="model.json")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_editors_of_windows_save_is_read(read, encoding):
    assert read(written('{"background": 0, "läsion": 1}').encode(encoding)).labels.foreground == ["läsion"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ('{"Background": 0, "a": 1}', '"labels" has "Background", .*write "background"'),
        ('{"background ": 0, "a": 1}', 'write "background"'),
        ('{"background": 0, "a": 1, "Ignore": 2}', 'write "ignore"'),
        ('{"a": 1}', '"labels" has no "background", which nnU-Net wants as 0'),
        ('{"background": 1, "a": 0}', 'label "background" is 1, expected 0'),
        ('{"background": [0], "a": 1}', r'label "background" is \[0\], expected one whole number'),
        ('{"background": 0}', "nothing but the background"),
        ('{"0": "background", "1": "a"}', r'version 2 wants "labels": {"background": 0, "a": 1}'),
        ("null", '"labels" is null, expected a value for each name'),
        ("[]", r'"labels" is \[\], expected'),
        ("{}", '"labels" is {}, expected'),
        ('{"background": 0, "a": "1"}', 'label "a" is "1", expected a whole number'),
        ('{"background": 0, "a": 1.5}', 'label "a" is 1.5, expected'),
        ('{"background": 0, "a": NaN}', 'label "a" is NaN, expected'),
        ('{"background": 0, "a": Infinity}', 'label "a" is Infinity, expected'),
        ('{"background": 0, "a": true}', 'label "a" is true, expected'),
        ('{"background": 0, "a": -1}', 'label "a" is -1, expected'),
        ('{"background": 0, "a": 65536}', 'label "a" is 65536, expected a whole number, 0 to 65535'),
        ('{"background": 0, "a": null}', 'label "a" is null, expected'),
        ('{"background": 0, "a": []}', r'region "a" is \[\], expected whole numbers'),
        ('{"background": 0, "a": [1, "2"]}', 'region "a" is .* expected whole numbers'),
        ('{"background": 0, "a": 1, "b": 1}', 'labels "a" and "b" are both 1'),
        ('{"background": 0, "a": 1, "b": 0}', 'labels "background" and "b" are both 0'),
        ('{"background": 0, "a": 1, "b": [1]}', r'labels "a" and "b" are both \[1\]'),
        ('{"background": 0, "a": 1, "a": 2}', "the name 'a' occurs twice"),
        ('{"background": 0, "a": 1, "ignore": 2, "c": 3}', 'label "ignore" is 2, expected 4'),
        ('{"background": 0, "a": 1, "ignore": 255}', 'label "ignore" is 255, expected 2'),
        ('{"background": 0, "a": 1, "ignore": "2"}', 'label "ignore" is "2", expected a whole number'),
        ('{"background": 0, "": 1}', 'the name ""'),
    ],
)
def test_labels_that_nnunet_cannot_use_are_told(read, labels, message):
    with pytest.raises(ValueError, match=rf"dataset\.json: .*{message}"):
        read(written(labels))


@pytest.mark.parametrize("order", ["null", "[1]", "[1, 2, 3]", "[1, NaN]", '[1, "2"]', '"1, 2"', '{"a": 1}'])
def test_regions_without_an_order_for_each_are_told(read, order):
    with pytest.raises(ValueError, match=r'"regions_class_order".* expected one number for each of the regions w, t'):
        read(written('{"background": 0, "w": [1, 2], "t": [2]}', regions_class_order=order))


def test_the_order_that_is_proposed_gives_every_region_a_value_of_its_own(read):
    with pytest.raises(ValueError, match=r"such as \[2, 1\]$"):
        read(written('{"background": 0, "w": [1, 2], "t": [1]}', regions_class_order="[1]"))


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ('"png"', 'is "png", expected a dot first and no spaces: ".png"'),
        ('".png "', 'is ".png ", expected a dot first and no spaces: ".png"'),
        ('""', 'is "", expected a text'),
        ("null", "is null, expected a text"),
        ("NaN", "is NaN, expected a text"),
        ('[".png"]', 'is [".png"], expected a text'),
    ],
)
def test_file_endings_that_are_none_are_told(read, ending, message):
    with pytest.raises(ValueError, match=re.escape(f'"file_ending" {message}')):
        read(f'{{"labels": {{"background": 0, "a": 1}}, "file_ending": {ending}}}')


def test_all_problems_are_told_together(read):
    with pytest.raises(ValueError, match=r'has 3 problems:\n.*"a" is "1".*\n.*"b" is null.*\n.*no "file_ending"'):
        read('{"labels": {"background": 0, "a": "1", "b": null}}')


def test_a_file_that_is_no_json_object_is_told(read):
    with pytest.raises(ValueError, match=r"dataset\.json holds a list, expected a JSON object"):
        read("[1]")


def test_labels_of_results_need_no_order():
    assert labels_in({"labels": {"background": 0, "w": [1, 2]}}).names == {"(1, 2)": "w"}


@pytest.mark.parametrize("name", ["\\ud800", "a\\nb"])
def test_a_name_that_cannot_be_written_is_refused(tmp_path, name):
    path = tmp_path / "dataset.json"
    path.write_text(f'{{"labels": {{"background": 0, "{name}": 1}}, "file_ending": ".png"}}')
    with pytest.raises(ValueError, match="cannot be printed") as refusal:
        read_dataset_json(path)
    assert name in str(refusal.value)


def test_text_in_another_encoding_is_told(tmp_path):
    path = tmp_path / "dataset.json"
    path.write_bytes(b'{"labels": {"background": 0, "l\xe4sion": 1}, "file_ending": ".png"}')
    with pytest.raises(ValueError, match=r"no text in UTF-8 .*; save it in UTF-8"):
        read_dataset_json(path)
