from pathlib import Path

import pytest

from nnunet_mamba.data.problems import InvalidDatasetError, Problem
from nnunet_mamba.data.sources.unpacked_names import name_as_packed, named_by_archive, problems_as_packed

ARCHIVE = Path("my/set.zip")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ".partial-unpacked-1" / "set.zip"


def test_problems_name_the_archive_while_it_is_unpacked(folder):
    problem = Problem("a", f"the same picture as b ({folder}/images/b.png)", folder / "images" / "a.png")
    with named_by_archive(folder, ARCHIVE):
        (found,) = problems_as_packed([problem])
    assert found.text == "the same picture as b (my/set.zip/images/b.png)"
    assert found.file == ARCHIVE / "images" / "a.png"
    assert problems_as_packed([problem]) == [problem]


def test_errors_name_the_archive(folder):
    with pytest.raises(ValueError, match=r"^no masks in my/set\.zip/x$"), named_by_archive(folder, ARCHIVE):
        raise ValueError(f"no masks in {folder / 'x'}")
    with pytest.raises(FileNotFoundError) as caught, named_by_archive(folder, ARCHIVE):
        (folder / "x").read_bytes()
    assert caught.value.filename == "my/set.zip/x"
    assert ".partial" not in str(caught.value)


def test_a_refused_data_set_names_the_archive(folder, tmp_path):
    with pytest.raises(InvalidDatasetError) as caught, named_by_archive(folder, ARCHIVE):
        raise InvalidDatasetError([Problem("a", "empty", folder / "a.png")], tmp_path / "raw")
    assert caught.value.problems[0].file == ARCHIVE / "a.png"
    assert "(my/set.zip/a.png)" in str(caught.value)
    assert str(tmp_path / "raw") in caught.value.summary


def test_several_archives_keep_their_names(folder, tmp_path):
    other = tmp_path / ".partial-unpacked-12" / "masks.zip"
    with named_by_archive(folder, ARCHIVE), named_by_archive(other, Path("masks.zip")):
        assert name_as_packed(f"{other}/a and {folder}/a") == "masks.zip/a and my/set.zip/a"
