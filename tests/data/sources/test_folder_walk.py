import os

import pytest

from nnunet_mamba.data.sources.folder_walk import files_below, lost_folders, visible_entries


@pytest.fixture
def tree(tmp_path):
    for name in ("data/p1/a.png", "data/p1/.hidden.png", "data/.cache/b.png", "store/p2/deep/c.png", "data/d.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "data" / "p2").symlink_to(tmp_path / "store" / "p2")
    return tmp_path / "data"


def names(folder, **options):
    return [path.relative_to(folder).as_posix() for path in files_below(folder, **options)]


def test_follows_links_to_folders_and_passes_hidden_names_over(tree):
    assert names(tree) == ["d.png", "p1/a.png", "p2/deep/c.png"]


def test_goes_as_deep_as_it_is_told(tree):
    assert names(tree, depth=0) == ["d.png"]
    assert names(tree, depth=1) == ["d.png", "p1/a.png"]


def test_does_not_run_in_circles(tree):
    (tree / "p1" / "back").symlink_to(tree)
    (tree / "p1" / "self").symlink_to(tree / "p1")
    assert names(tree) == ["d.png", "p1/a.png", "p2/deep/c.png"]


def test_a_link_to_itself_is_listed_as_a_file_that_cannot_be_read(tree):
    (tree / "e.png").symlink_to("e.png")
    assert names(tree) == ["d.png", "e.png", "p1/a.png", "p2/deep/c.png"]


def test_two_links_to_one_folder_are_both_followed(tree):
    (tree / "p3").symlink_to(tree / "p1")
    assert names(tree) == ["d.png", "p1/a.png", "p2/deep/c.png", "p3/a.png"]


def test_folder_may_be_a_link_itself(tree, tmp_path):
    (tmp_path / "link").symlink_to(tree)
    assert names(tmp_path / "link") == names(tree)


@pytest.mark.parametrize("name", ["p4", "p.4", "TCGA.01"])
def test_link_to_a_folder_that_is_gone_is_a_problem(tree, name):
    (tree / name).symlink_to("../store/gone")
    (problem,) = lost_folders(tree)
    assert problem.identifier == name
    assert "a link to ../store/gone, which is not there" in problem.text
    assert problem.file == tree / name


def test_broken_link_that_cannot_have_led_to_cases_is_none(tree):
    (tree / "notes.txt").symlink_to("nowhere")
    (tree / "p1" / "gone").symlink_to("nowhere")
    assert lost_folders(tree, depth=1) == []
    assert [problem.identifier for problem in lost_folders(tree, depth=2)] == ["p1/gone"]


def test_broken_link_to_a_file_is_listed_so_that_it_is_missed(tree):
    (tree / "e.png").symlink_to("nowhere.png")
    assert "e.png" in names(tree)


def test_folder_without_permission_is_told_in_words(tree, monkeypatch):
    scan = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("p1"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(
        PermissionError, match=r"Permission denied: .*p1 cannot be read, and its cases would be missing"
    ):
        list(files_below(tree))


def test_what_is_no_folder_is_refused(tree):
    with pytest.raises(NotADirectoryError, match=r"d\.png is not a folder"):
        visible_entries(tree / "d.png")


def test_tells_a_path_that_is_missing_from_one_that_is_no_folder(tree):
    with pytest.raises(NotADirectoryError, match="nowhere is not a folder: nothing of this name is there; expected"):
        visible_entries(tree / "nowhere")
    with pytest.raises(NotADirectoryError, match=r"d\.png is not a folder; expected one"):
        visible_entries(tree / "d.png")
