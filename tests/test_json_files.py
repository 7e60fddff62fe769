import json

import pytest

from nnunet_mamba.json_files import not_finite, read_json_file, read_json_object


def test_reads_what_nnunet_writes(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a": [1, "ü"], "Dice": float("nan")}, ensure_ascii=False), encoding="utf-8")
    assert read_json_object(path)["a"] == [1, "ü"]
    path.write_text("[1, 2]")
    assert read_json_file(path) == [1, 2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON .*is it complete"),
        (b'{"a": 1', "is not JSON .*is it complete"),
        (b"[1]", "holds a list, expected a JSON object"),
        (b"null", r"holds nothing \(null\), expected"),
        (b"3", "holds a number"),
        (b'"a"', "holds a text"),
        (b"true", "holds true or false"),
        ('{"a": 1}'.encode("utf-8-sig"), "begins with a byte order mark"),
        ('{"a": 1}'.encode("utf-16"), "is UTF-16 text"),
        ('{"a": "ü"}'.encode("latin-1"), "is not UTF-8 text"),
        (b"[" * 100_000, "is nested too deeply"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_all_else_is_told_with_the_file(tmp_path, content, words):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} {words}"):
        read_json_object(path)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json_file(tmp_path / "a.json")


def test_places_of_numbers_that_are_not_finite():
    content = json.loads('{"a": [1, NaN], "b": {"c": -Infinity, "d": "NaN"}, "e": 1e999}')
    assert list(not_finite(content)) == ["a.1 is nan", "b.c is -inf", "e is inf"]
