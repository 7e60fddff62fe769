import os
import zipfile
from dataclasses import replace

import pytest

from nnunet_mamba.data.sources.archives import ArchiveError
from nnunet_mamba.data.unlabelled.named_files import named_place, unpacked_archives


@pytest.fixture
def tree(tmp_path):
    for name in ("a.png", "deep/b.png", "deep/er/c.png", ".hidden.png", ".cache/d.png", "[1].png"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "tree"


def places(place):
    return {"/".join((*file.folders, file.path.name)) for file in place.files}


def test_a_folder_stands_for_all_that_is_visible_below_it(tree):
    place = named_place(str(tree))
    assert places(place) == {"a.png", "[1].png", "deep/b.png", "deep/er/c.png"}
    assert place.folders == (tree,)
    assert not any(file.is_named for file in place.files)


@pytest.mark.parametrize("name", [".", "../tree", "deep/.."])
def test_a_folder_may_be_named_in_any_way(tree, monkeypatch, name):
    monkeypatch.chdir(tree)
    assert "deep/er/c.png" in places(named_place(name))


def test_a_file_stands_for_itself(tree):
    place = named_place(str(tree / "deep" / "b.png"))
    assert places(place) == {"b.png"}
    assert place.files[0].is_named


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", {"a.png", "[1].png"}),
        ("**/*.png", {"a.png", "[1].png", "deep/b.png", "deep/er/c.png"}),
        ("d*/*.png", {"deep/b.png"}),
        ("d??p", {"deep/b.png", "deep/er/c.png"}),
        ("**", {"a.png", "[1].png", "deep/b.png", "deep/er/c.png"}),
        ("deep/*", {"b.png", "er/c.png"}),
    ],
)
def test_a_pattern_keeps_the_folders_behind_its_fixed_part(tree, monkeypatch, pattern, expected):
    assert places(named_place(f"{tree}/{pattern}")) == expected
    monkeypatch.chdir(tree)
    assert places(named_place(pattern)) == expected


def test_what_is_there_is_no_pattern(tree):
    assert places(named_place(f"{tree}/[1].png")) == {"[1].png"}


@pytest.mark.parametrize(
    ("name", "text"),
    [("nothing", "nothing of this name is there; correct the path"), ("*.jpg", "no file fits this pattern; correct")],
)
def test_what_is_not_there_is_told(tree, name, text):
    place = named_place(f"{tree}/{name}")
    (problem,) = place.problems
    assert problem.identifier == place.name == f"{tree}/{name}"
    assert text in problem.text
    assert not place.files


def test_a_link_to_a_folder_that_is_gone_is_told(tree):
    (tree / "scans").symlink_to("nowhere")
    (problem,) = named_place(str(tree)).problems
    assert "scans: a link to nowhere, which is not there, expected a folder" in str(problem)


def test_a_folder_that_cannot_be_read_is_told(tree, monkeypatch):
    scan = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("er"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    (problem,) = named_place(str(tree)).problems
    assert "er cannot be read, and its cases would be missing" in problem.text


@pytest.mark.parametrize(
    ("pattern", "lost"),
    [("*.png", "tree"), ("deep/*.png", "deep"), ("d*/*.png", "deep"), ("**/*.png", "er"), ("**", "er")],
)
def test_a_folder_that_a_pattern_cannot_look_into_is_told_once(tree, monkeypatch, pattern, lost):
    scan = os.scandir

    def refuse(path):
        if os.path.basename(os.fspath(path).rstrip("/")) == lost:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    (problem,) = named_place(f"{tree}/{pattern}").problems
    assert f"{lost} cannot be read, and its cases would be missing" in problem.text


def test_a_folder_in_which_a_pattern_cannot_look_for_a_name_is_told(tree, monkeypatch):
    right = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not os.fspath(path).endswith("er") and right(path, mode))
    (problem,) = named_place(f"{tree}/**/c.png").problems
    assert "er cannot be read" in problem.text


def test_a_folder_that_cannot_be_read_is_told_beside_archives(archive, tree, tmp_path, monkeypatch):
    (tree / "more.zip").write_bytes(archive.read_bytes())
    right = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not os.fspath(path).endswith("deep") and right(path, mode))
    with unpacked_archives([f"{tree}/**/*.zip"], output=tmp_path / "out") as (pattern, unpacked):
        assert "deep cannot be read" in pattern.problems[0].text
        assert places(unpacked) == {"a.png", "deep/b.png"}


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "scans.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("scans/deep/b.png", b"1")
        packed.writestr("scans/a.png", b"2")
    return path


def test_an_archive_stands_for_its_folder_while_the_block_runs(tree, archive, tmp_path):
    output = tmp_path / "new" / "out"
    with unpacked_archives([tree, archive, "nowhere.png"], output=output) as (first, unpacked, last):
        assert (first, last) == (named_place(str(tree)), named_place("nowhere.png"))
        assert places(unpacked) == {"a.png", "deep/b.png"}
    assert not output.parent.exists(), "nothing is left of the archive"


def test_archives_among_the_matches_of_a_pattern_are_unpacked(archive, tree, tmp_path):
    (tree / "more.zip").write_bytes(archive.read_bytes())
    with unpacked_archives([f"{tree}/*"], output=tmp_path / "out") as (pattern, unpacked):
        assert pattern == replace(named_place(f"{tree}/*"), files=pattern.files)
        assert places(pattern) == {"a.png", "[1].png", "deep/b.png", "deep/er/c.png"}, "without the archive"
        assert places(unpacked) == {"a.png", "deep/b.png"}
    with unpacked_archives([f"{tree}/*.zip"], output=tmp_path / "out") as (unpacked,):
        assert places(unpacked) == {"a.png", "deep/b.png"}


def test_an_archive_is_unpacked_in_the_output_if_nothing_can_be_written_beside_it(archive, tmp_path, monkeypatch):
    output = tmp_path / "granted" / "out"
    output.mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, mode: os.fspath(path) != os.fspath(output.parent))
    before = output.parent.stat().st_mtime_ns
    with unpacked_archives([archive], output=output) as (unpacked,):
        assert unpacked.folders[0].is_relative_to(output)
        assert places(unpacked) == {"a.png", "deep/b.png"}
    assert list(output.iterdir()) == []
    assert output.parent.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("name", "text"), [("x.rar", "only .zip archives are unpacked"), ("x.zip", "not a zip archive")]
)
def test_an_archive_that_cannot_be_unpacked_is_refused(tmp_path, name, text):
    (tmp_path / name).write_bytes(b"Rar!")
    with pytest.raises(ArchiveError, match=text), unpacked_archives([tmp_path / name], output=tmp_path / "out"):
        pass
