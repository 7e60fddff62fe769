import json

import pytest

from nnunet_mamba.system.json_files import not_finite, read_json_file, read_json_object


def test_reads_what_nnunet_writes(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a": [1, "ü"], "Dice": float("nan")}, ensure_ascii=False), encoding="utf-8")
    assert read_json_object(path)["a"] == [1, "ü"]
    path.write_text("[1, 2]")
    assert read_json_file(path) == [1, 2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty, expected JSON"),
        (b" \n", "is empty, expected JSON"),
        (b"{]", r"is not JSON \(Expecting"),
        (b'{"a": 1', "is not JSON .*is it complete"),
        (b"[1]", "holds a list, expected a JSON object"),
        (b"null", r"holds nothing \(null\), expected"),
        (b"3", "holds a number"),
        (b'"a"', "holds a text"),
        (b"true", "holds true or false"),
        ('{"a": 1}'.encode("utf-8-sig"), "begins with a byte order mark"),
        ('{"a": 1}'.encode("utf-16"), "is UTF-16 text"),
        ('{"a": "ü"}'.encode("latin-1"), "is not UTF-8 text"),
        (b"[" * 100_000, "is not JSON of a few levels: it is nested too deeply"),
        (b"\x89PNG\r\n", "is not UTF-8 text"),
        (b"9" * 5000, "it holds a number of 5000 digits"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_all_else_is_told_with_the_file(tmp_path, content, words):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path}:? {words}"):
        read_json_object(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_what_editors_save_is_read_where_nnunet_does_not_read_it(tmp_path, encoding):
    path = tmp_path / "a.json"
    path.write_bytes('{"name": "ü"}'.encode(encoding))
    assert read_json_object(path, any_encoding=True) == {"name": "ü"}


def test_bytes_that_are_no_text_are_told_in_any_encoding(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    with pytest.raises(ValueError, match=rf"{path} is not JSON \(no text"):
        read_json_file(path, any_encoding=True)


def test_a_name_that_occurs_twice_is_refused_where_names_are_unique(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"b": {"a": 1, "a": 2}}')
    assert read_json_file(path) == {"b": {"a": 2}}
    with pytest.raises(ValueError, match=f"{path}: the name 'a' occurs twice"):
        read_json_file(path, unique_names=True)


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.json does not exist"):
        read_json_file(tmp_path / "a.json")
    with pytest.raises(IsADirectoryError, match="is a folder, expected a JSON file"):
        read_json_file(tmp_path)


def test_places_of_numbers_that_are_not_finite():
    content = json.loads('{"a": [1, NaN], "b": {"c": -Infinity, "d": "NaN"}, "e": 1e999}')
    assert list(not_finite(content)) == ["a.1 is nan", "b.c is -inf", "e is inf"]
