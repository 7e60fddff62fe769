import multiprocessing
import os
from pathlib import Path

import pytest

from nnunet_mamba.system import folder_lock
from nnunet_mamba.system.folder_lock import (
    LOCK_FILE,
    first_of_writers,
    in_turn,
    one_of_writers,
    only_writer,
    refuse_if_unwritable,
    refuse_if_written,
)


def test_a_second_writer_is_refused_and_leaves_the_first_one_its_right(tmp_path):
    with only_writer(tmp_path / "raw"):
        for _ in range(2):
            with (
                pytest.raises(FileExistsError, match="another process is writing there"),
                only_writer(tmp_path / "raw"),
            ):
                pass
        with pytest.raises(FileExistsError, match="another process is writing there"):
            refuse_if_written(tmp_path / "raw")

    refuse_if_written(tmp_path / "raw")
    assert list(tmp_path.iterdir()) == []


def test_the_lock_needs_no_right_to_write_beside_the_folder(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    before = tmp_path.stat().st_mtime_ns
    with only_writer(folder):
        assert [path.name for path in folder.iterdir()] == [LOCK_FILE]
    with one_of_writers(folder, "a"), first_of_writers(folder):
        pass
    assert tmp_path.stat().st_mtime_ns == before
    assert list(folder.iterdir()) == []


def test_a_folder_that_the_block_has_written_into_stays(tmp_path):
    with only_writer(tmp_path / "new" / "raw"):
        (tmp_path / "new" / "raw" / "a").touch()
    with one_of_writers(tmp_path / "other" / "raw", "a"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "raw", "a"]


def test_the_lock_of_a_folder_that_the_block_makes_lies_beside_it(tmp_path):
    with only_writer(tmp_path / "raw", beside=True):
        (tmp_path / "raw").mkdir(mode=0o700)
        with pytest.raises(FileExistsError), only_writer(tmp_path / "raw", beside=True):
            pass
        (tmp_path / "raw").rmdir()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def at_once(monkeypatch):
    """Nobody waits for another writer's turn."""
    monkeypatch.setattr(folder_lock, "_LONGEST_BEGINNING", 0.0)


@pytest.mark.usefixtures("at_once")
def test_shares_of_a_folder_exclude_an_only_writer_and_their_own_double(tmp_path):
    refusal = "another process is writing there"
    with one_of_writers(tmp_path, "1-of-2"):
        with one_of_writers(tmp_path, "2-of-2"):
            pass
        with pytest.raises(FileExistsError, match=refusal), one_of_writers(tmp_path, "1-of-2"):
            pass
        for _ in range(2):
            with pytest.raises(FileExistsError, match=refusal), only_writer(tmp_path):
                pass
    with only_writer(tmp_path), pytest.raises(FileExistsError, match=refusal), one_of_writers(tmp_path, "1-of-2"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("at_once")
def test_one_writer_begins_after_the_other(tmp_path):
    with one_of_writers(tmp_path, "1-of-2"), one_of_writers(tmp_path, "2-of-2"), first_of_writers(tmp_path):
        with pytest.raises(FileExistsError), first_of_writers(tmp_path):
            pass
        with pytest.raises(FileExistsError), one_of_writers(tmp_path, "3"):
            pass


def _die_with_a_share(folder: Path) -> None:
    with one_of_writers(folder, "1-of-2"), first_of_writers(folder):
        os._exit(0)


def test_what_a_killed_process_had_of_a_folder_is_free_and_cleared_away(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_die_with_a_share, args=(tmp_path,))
    process.start()
    process.join()
    assert len(list(tmp_path.iterdir())) == 2
    with only_writer(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def _die_writing(folder: Path) -> None:
    with only_writer(folder):
        os._exit(0)


def test_a_writer_that_died_has_no_right_any_more(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_die_writing, args=(tmp_path / "raw",))
    process.start()
    process.join()
    assert [path.name for path in (tmp_path / "raw").iterdir()] == [LOCK_FILE]

    refuse_if_written(tmp_path / "raw")

    assert list((tmp_path / "raw").iterdir()) == []


@pytest.mark.parametrize("folder", [".", "new/and/deeper"])
def test_trying_to_write_leaves_no_trace(tmp_path, folder):
    before = tmp_path.stat().st_mtime_ns

    refuse_if_unwritable(tmp_path / folder)

    assert list(tmp_path.iterdir()) == []
    assert tmp_path.stat().st_mtime_ns == before


def test_a_relative_folder_is_looked_for_where_it_will_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")

    refuse_if_unwritable(Path("new/deeper"))
    with pytest.raises(NotADirectoryError, match="file is a file, expected a folder for deeper"):
        refuse_if_unwritable(Path("file/deeper"))


def test_a_file_system_that_takes_no_files_is_named():
    # Nobody may create files there, not even root.
    with pytest.raises(OSError, match="nothing can be written into /proc/self; get the right to write there"):
        refuse_if_unwritable(Path("/proc/self"))


def _count(path: Path, n: int) -> None:
    for _ in range(n):
        with in_turn(path):
            path.write_text(str(int(path.read_text()) + 1))


def test_processes_write_a_file_in_turn(tmp_path):
    counter = tmp_path / "new" / "counter"
    with in_turn(counter):
        counter.write_text("0")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_count, args=(counter, 50)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert counter.read_text() == "150"


def _die_in_turn(path: Path) -> None:
    with in_turn(path):
        os._exit(0)


def test_a_process_that_died_holds_up_nobody(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_die_in_turn, args=(tmp_path / "file",))
    process.start()
    process.join()
    with in_turn(tmp_path / "file"):
        pass
