"""Where compiled kernels are kept, in what state; ``test_kernel_processes`` shows that other processes find them."""

import errno
import os
import shutil
import time
from pathlib import Path

import pytest
import torch

from nnunet_mamba import ops
from nnunet_mamba.ops.cpu_kernels import kernel_cache
from nnunet_mamba.ops.cpu_kernels.kernel_cache import (
    FOLDER_PREFIX,
    cache_folder,
    folder_in_use,
    ignored_folder,
    kernel_files,
)
from nnunet_mamba.ops.scan.backends import BACKENDS

DAY = 24 * 3600


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """This process chooses its cache folder below ``tmp_path`` alone."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(kernel_cache.numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(kernel_cache.tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture(scope="module")
def compiled():
    """The cache folder of this process, with the scan's kernels."""
    assert BACKENDS["numba_cpu"].refusal(torch.zeros(1)) is None
    return cache_folder()


@pytest.fixture
def filled(compiled, clean):
    """A private copy of a filled cache, where this process and its children look."""
    # Another process may be adding kernels of its own.
    shutil.copytree(compiled, cache_folder(), dirs_exist_ok=True, ignore=shutil.ignore_patterns(".partial-*"))
    return cache_folder()


def test_kernels_are_cached_in_the_users_cache_folder_by_default(clean):
    assert cache_folder().parent == clean / "cache"


def test_kernels_are_cached_below_the_users_choice(clean, monkeypatch):
    monkeypatch.setattr(kernel_cache.numba.config, "CACHE_DIR", str(clean / "mine"))
    assert cache_folder().parent == clean / "mine"


def test_kernels_are_cached_in_the_temporary_folder_if_nothing_else_is_writable(clean, monkeypatch):
    file = clean / "file"
    file.touch()
    monkeypatch.setattr(kernel_cache.numba.config, "CACHE_DIR", str(file / "numba"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(file / "cache"))
    folder = cache_folder()
    assert folder.parent == clean / "tmp"
    assert cache_folder() == folder
    # What is found in the cache is executed, so a folder that others can write to is not used.
    folder.chmod(0o777)
    other = cache_folder()
    assert other != folder
    assert other.parent == clean / "tmp"
    assert cache_folder() == other


def test_no_home_folder_is_no_folder_called_tilde(clean, monkeypatch):
    monkeypatch.chdir(clean)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cache_folder().parent == clean / "tmp"
    assert sorted(path.name for path in clean.iterdir()) == ["tmp"]


@pytest.mark.parametrize("path", ["~/kernels", "$HOME/kernels", "'/kernels'"])
def test_a_folder_that_no_shell_expanded_is_ignored_in_words(clean, monkeypatch, path):
    monkeypatch.chdir(clean)
    monkeypatch.setattr(kernel_cache.numba.config, "CACHE_DIR", path)
    assert cache_folder().parent == clean / "cache"
    assert ignored_folder().startswith(f"NUMBA_CACHE_DIR is {path!r}, which is ignored: ")
    monkeypatch.setattr(kernel_cache.numba.config, "CACHE_DIR", str(clean / "mine"))
    assert ignored_folder() == ""
    assert sorted(path.name for path in clean.iterdir()) == ["cache", "tmp"]


class _FullDisk:
    """Opens files on a disk without room: creating one works, writing does not."""

    def __init__(self, below):
        self.below, self.open = below, kernel_cache.tempfile.TemporaryFile

    def __call__(self, dir):
        file = self.open(dir=dir)
        if self.below in Path(dir).parents:

            def write(data):
                raise OSError(errno.ENOSPC, "No space left on device")

            file = type("File", (), {"__enter__": lambda self: self, "__exit__": lambda *_: None, "write": write})()
            file.write = write
        return file


def test_a_full_disk_is_not_chosen_for_kernels_that_are_not_there_yet(filled, clean, monkeypatch):
    monkeypatch.setattr(kernel_cache.tempfile, "TemporaryFile", _FullDisk(clean / "cache"))
    assert cache_folder() == filled
    for file in kernel_files(filled):
        file.unlink()
    assert cache_folder().parent == clean / "tmp"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("numba.config.CPU_NAME", "another"),
        ("numba.config.CPU_FEATURES", "+another"),
        ("numba.__version__", "0.0"),
        ("llvmlite.__version__", "0.0"),
    ],
)
def test_each_compiler_and_cpu_has_a_folder_of_its_own(clean, monkeypatch, place, value):
    before = cache_folder()
    monkeypatch.setattr(f"nnunet_mamba.ops.cpu_kernels.kernel_cache.{place}", value)
    assert cache_folder() != before


def test_a_changed_source_has_a_folder_of_its_own(tmp_path):
    fingerprints = []
    for version, text in enumerate(("1", "1", "2")):
        folder = tmp_path / str(version) / "kernels"
        folder.mkdir(parents=True)
        (folder / "kernel.py").write_text(text)
        fingerprints.append(kernel_cache._fingerprint(folder.parent))
    first, same, changed = fingerprints
    assert first == same != changed


def test_the_sources_are_all_of_the_operators():
    assert Path(ops.__file__).parent == kernel_cache._OPERATORS


def test_an_upgrade_does_not_get_the_kernels_of_a_process_that_began_before_it(tmp_path):
    (tmp_path / "kernel.py").write_text("1")
    before = kernel_cache._fingerprint(tmp_path)
    (tmp_path / "kernel.py").write_text("2")
    assert kernel_cache._fingerprint(tmp_path) == before


def _unused_for(folder, seconds):
    folder.mkdir(exist_ok=True, parents=True)
    mark = folder / kernel_cache._MARK
    mark.touch()
    (folder / "module.jobs.kernel").touch()
    os.utime(mark, (time.time() - seconds,) * 2)
    return folder


def test_folders_that_nobody_used_for_a_month_are_removed(clean):
    cache = clean / "cache"
    old = _unused_for(cache / f"{FOLDER_PREFIX}old", 31 * DAY)
    recent = _unused_for(cache / f"{FOLDER_PREFIX}recent", 29 * DAY)
    others = _unused_for(cache / "pip", 100 * DAY)
    folder_in_use()
    assert not old.exists()
    assert sorted(path for path in cache.iterdir()) == sorted([recent, others, cache_folder()])


def test_a_folder_without_a_mark_counts_from_its_own_time(clean):
    old, recent = ((clean / "cache" / f"{FOLDER_PREFIX}{name}") for name in ("old", "recent"))
    for folder, age in ((old, 31), (recent, 29)):
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age * DAY,) * 2)
    folder_in_use()
    assert not old.exists()
    assert recent.exists()


def test_using_a_folder_marks_it_and_looks_at_others_once_a_day(clean):
    folder = _unused_for(cache_folder(), 2 * DAY)
    folder_in_use()
    marked = (folder / kernel_cache._MARK).stat().st_mtime
    assert marked > time.time() - DAY
    old = _unused_for(clean / "cache" / f"{FOLDER_PREFIX}old", 31 * DAY)
    folder_in_use()
    assert (folder / kernel_cache._MARK).stat().st_mtime == marked
    assert old.exists()
    _unused_for(folder, 2 * DAY)
    folder_in_use()
    assert not old.exists()


def test_folders_that_others_can_write_to_are_left_to_them(clean):
    folder = _unused_for(clean / "cache" / f"{FOLDER_PREFIX}shared", 31 * DAY)
    folder.chmod(0o777)
    folder_in_use()
    assert folder.exists()


def test_an_old_folder_that_another_process_removes_first_is_no_error(clean, monkeypatch):
    folders = [_unused_for(clean / "cache" / f"{FOLDER_PREFIX}{name}", 31 * DAY) for name in ("first", "second")]
    remove = kernel_cache._remove

    def vanish(folder):
        shutil.rmtree(folder)
        remove(folder)

    monkeypatch.setattr(kernel_cache, "_remove", vanish)
    folder_in_use()
    assert not any(folder.exists() for folder in folders)


def test_a_folder_that_can_only_be_read_is_used_as_it_is(filled, clean, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(kernel_cache, "_is_usable", lambda folder: folder == filled)
    monkeypatch.setattr(kernel_cache, "_look_after", refuse)
    assert folder_in_use() == filled
