import errno
import os
import stat

import pytest

from nnunet_mamba.system.atomic import folder_unless_empty, new_folder, remove_partial_files, replacing


def test_file_appears_when_the_block_succeeds(tmp_path):
    with replacing(tmp_path / "new" / "x.nii.gz") as temporary:
        temporary.write_text("whole")
        assert temporary.parent == tmp_path / "new"
        assert temporary.name.endswith(".nii.gz")
        assert not (tmp_path / "new" / "x.nii.gz").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.nii.gz"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_failure_leaves_the_earlier_file(tmp_path, error):
    (tmp_path / "x.png").write_text("earlier")

    def fail():
        with replacing(tmp_path / "x.png") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
    assert (tmp_path / "x.png").read_text() == "earlier"


def test_an_error_that_names_no_file_gets_the_name(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/x\.png'"), replacing(tmp_path / "x.png"):
        raise full


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"), replacing(tmp_path / "x.png"):
        (tmp_path / "missing").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "x.png") as temporary:
            temporary.write_text("whole")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.png").stat().st_mode) == 0o640


def test_removes_what_killed_runs_left(tmp_path):
    (tmp_path / ".partial-12-x.png").write_text("half")
    (tmp_path / "x.png").write_text("whole")
    remove_partial_files(tmp_path)
    remove_partial_files(tmp_path / "missing")
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_removes_what_killed_runs_left_below(tmp_path):
    for name in ("a/b/.partial-12-x.png", "a/b/x.png", ".partial-unpacked-1/.partial-2-y.png", "elsewhere/.partial-3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    folder = tmp_path / "a"
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    remove_partial_files(folder)
    assert (tmp_path / "a/b/.partial-12-x.png").exists()
    remove_partial_files(folder, below=True)
    (tmp_path / ".partial-unpacked-1").rename(folder / ".partial-unpacked-1")
    remove_partial_files(folder, below=True)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["a/.partial-unpacked-1/.partial-2-y.png", "a/b/x.png", "elsewhere/.partial-3"]


def test_a_folder_for_a_block_goes_again_if_it_stays_empty(tmp_path):
    with folder_unless_empty(tmp_path / "new" / "deep"):
        assert (tmp_path / "new" / "deep").is_dir()
    assert list(tmp_path.iterdir()) == []
    with folder_unless_empty(tmp_path / "new" / "deep"):
        (tmp_path / "new" / "a").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "a"]
    with folder_unless_empty(tmp_path / "new"):
        (tmp_path / "new" / "a").unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["new"], "it was there before"


def test_a_folder_appears_when_the_block_succeeds(tmp_path):
    with new_folder(tmp_path / "new" / "model") as folder:
        (folder / "a.txt").write_text("whole")
        assert not (tmp_path / "new" / "model").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model"]
    assert (tmp_path / "new/model/a.txt").read_text() == "whole"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_failure_leaves_no_folder(tmp_path, error):
    def fail():
        with new_folder(tmp_path / "model") as folder:
            (folder / "a.txt").write_text("half")
            raise error

    with pytest.raises(type(error)) as told:
        fail()
    assert not isinstance(error, OSError) or told.value.filename == str(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_stays_as_it_is(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(FileExistsError, match="model"), new_folder(tmp_path / "model"):
        pass

    def overtaken():
        with new_folder(tmp_path / "other") as folder:
            (folder / "a.txt").write_text("mine")
            (tmp_path / "other").mkdir()

    with pytest.raises(FileExistsError, match="other"):
        overtaken()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other"]
    assert list((tmp_path / "other").iterdir()) == []
