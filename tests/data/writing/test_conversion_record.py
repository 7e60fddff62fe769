import json

import pytest

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE, ConversionRecord, read_conversion_record


@pytest.fixture
def record(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.jpg").write_text("image")
    (source / "a.png").write_text("mask")
    case = Case(identifier="a", channels=(source / "a.jpg",), mask=source / "a.png")
    return ConversionRecord.of("Dataset101_ISIC", {"size": "256x256"}, [case])


def test_is_the_same_after_writing_and_reading(tmp_path, record):
    record.write(tmp_path, {"a": {"shape": [20, 30]}})
    stored = read_conversion_record(tmp_path)
    assert stored == record
    assert record.differences(stored) == []
    assert json.loads((tmp_path / RECORD_FILE).read_text())["cases"]["a"] == {
        "part": "training",
        "files": ["a.jpg", "a.png"],
        "bytes": [5, 4],
        "label_folder": 0,
        "source": {"shape": [20, 30]},
    }


def test_keeps_what_tells_the_files_of_channels_apart(tmp_path, record):
    case = Case(identifier="a", channels=(tmp_path / "a_t1.png", tmp_path / "a_t2.png"), is_training=False)
    made = ConversionRecord.of("test", {}, [case], channel_tokens=["t1", "t2"])
    made.write(tmp_path, {"a": {}})
    stored = read_conversion_record(tmp_path)
    assert stored.channel_tokens == made.channel_tokens == ("t1", "t2")
    assert record.channel_tokens == ()
    older = ConversionRecord.of("test", {}, [case])
    assert older.differences(stored) == [], "folders of earlier releases are continued"


def test_keeps_which_cases_show_one_patient(tmp_path):
    cases = [
        Case(identifier=name, channels=(tmp_path / f"{name}.png",), is_training=False, group=group)
        for name, group in (("a", "patient 1"), ("b", "patient 1"), ("c", None))
    ]
    made = ConversionRecord.of("test", {}, cases)
    made.write(tmp_path, {case.identifier: {} for case in cases})
    stored = read_conversion_record(tmp_path)
    assert stored.groups == made.groups == {"a": "patient 1", "b": "patient 1"}
    assert "group" not in json.loads((tmp_path / RECORD_FILE).read_text())["cases"]["c"]
    ungrouped = [Case(identifier=case.identifier, channels=case.channels, is_training=False) for case in cases]
    older = ConversionRecord.of("test", {}, ungrouped)
    assert older.differences(stored) == [], "folders of earlier releases are continued"


def test_tells_the_folder_of_every_label(tmp_path):
    paths = [tmp_path / name for name in ("b/1.png", "a/1.png", "c/1.png")]
    for path in paths:
        path.parent.mkdir()
        path.touch()
    cases = [
        Case(identifier="x", channels=(paths[0],), mask=paths[1]),
        Case(identifier="y", channels=(paths[0],), mask=paths[2]),
        Case(identifier="z", channels=(paths[1],), is_training=False),
    ]
    made = ConversionRecord.of("test", {}, cases)
    made.write(tmp_path, {case.identifier: {} for case in cases})
    for record in (made, read_conversion_record(tmp_path)):
        folders = {name: record.sources[index] for name, index in record.label_folders.items()}
        assert folders == {"x": str(tmp_path / "a"), "y": str(tmp_path / "c")}


def test_folder_without_record(tmp_path):
    assert read_conversion_record(tmp_path) is None
    assert read_conversion_record(tmp_path / "missing") is None


def test_notices_a_source_file_of_another_size(tmp_path, record):
    (tmp_path / "source" / "a.png").write_text("other mask")
    case = Case(identifier="a", channels=(tmp_path / "source" / "a.jpg",), mask=tmp_path / "source" / "a.png")
    changed = ConversionRecord.of("Dataset101_ISIC", {"size": "256x256"}, [case])
    assert changed.differences(record) == [
        "cases made from other source files (name, size, or training instead of test): 1, the first is a"
    ]


def test_notices_another_converter_and_an_option_that_the_folder_does_not_know(record):
    other = ConversionRecord(converter="Dataset120_PH2", options={**record.options, "crop": True}, cases=record.cases)
    assert other.differences(record) == [
        "converter: the folder has Dataset101_ISIC, this run has Dataset120_PH2",
        "crop: the folder has None, this run has True",
    ]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"converter": 1}', '{"cases": {"a": 1}}'])
def test_damaged_record_is_named(tmp_path, content):
    (tmp_path / RECORD_FILE).write_text(content)
    with pytest.raises(ValueError, match=RECORD_FILE):
        read_conversion_record(tmp_path)
