import json

import pytest

from nnunet_mamba.data.restoring.converted_dataset import read_converted_dataset
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE


def test_a_label_without_a_value_is_refused(cases, convert, tmp_path):
    raw = convert(cases, tmp_path / "raw", source_labels={"background": 0, "naevus": 255})
    with pytest.raises(ValueError, match="knows no value of the source for lesion"):
        read_converted_dataset(raw, raw / "labelsTr")


def test_other_folders_are_explained(raw, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=f"holds no {RECORD_FILE}, expected a folder that nnunet-mamba convert"):
        read_converted_dataset(tmp_path / "empty", raw / "labelsTr")
    with pytest.raises(NotADirectoryError, match="is a file, expected the folder of the converted data set"):
        read_converted_dataset(raw / "dataset.json", raw / "labelsTr")


def test_a_record_without_the_sizes_of_sources_is_damaged(raw):
    content = json.loads((raw / RECORD_FILE).read_text())
    del content["cases"]["b"]["source"]
    del content["cases"]["c"]["source"]["shape"]
    (raw / RECORD_FILE).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"is damaged: case b: source is None.* and 1 more problems; convert again"):
        read_converted_dataset(raw, raw / "labelsTr")


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"labels": {"background": 0}}', '{"labels": 3, "file_ending": ".png"}']
)
def test_a_damaged_dataset_json_is_named(raw, content):
    (raw / "dataset.json").write_text(content)
    with pytest.raises(ValueError, match=rf"{raw / 'dataset.json'} is no dataset\.json of nnU-Net"):
        read_converted_dataset(raw, raw / "labelsTr")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "nan"}, "is damaged: size 'nan'"),
        ({"threshold": "x"}, "is damaged: threshold is 'x'"),
        (
            {"source_labels": {"background": 0, "lesion": -5}},
            "lesion is -5 in the source, and pictures hold 0 to 65535",
        ),
        ({"source_labels": {"background": 0, "lesion": 70000}}, "lesion is 70000 in the source"),
    ],
)
def test_a_record_that_people_have_damaged_is_told(raw, options, message):
    content = json.loads((raw / RECORD_FILE).read_text())
    content["options"].update(options)
    (raw / RECORD_FILE).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"{RECORD_FILE}.*{message}.*convert again"):
        read_converted_dataset(raw, raw / "labelsTr")
