"""The right to write into a folder: whether the system grants it, and a lock for one process at a time."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of ``folder``, which need not exist; the system takes it from a killed process.

    Args:
        folder: the lock is a hidden file beside it.

    Raises:
        FileExistsError: another process is writing there.
        OSError: nothing can be written beside the folder.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_lock_file(folder))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise FileExistsError(
            f"{folder}: another process is writing there, expected to be the only one; wait for it, or choose another "
            f"folder"
        ) from error
    try:
        yield
    finally:
        # Delete the file while the lock is held: the next process makes its own.
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Hold the lock of a file that several processes write, one after the other; the system takes it from a killed one.

    Args:
        path: of the file; the lock is a hidden file beside it, and stays there for those who wait for it.

    Raises:
        OSError: nothing can be written beside the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name.lstrip('.')}.lock")):
        yield


def refuse_if_written(folder: Path) -> None:
    """Raise if another process is writing into ``folder``; leave no trace.

    Raises:
        FileExistsError: another process is writing there.
    """
    if _lock_file(folder).exists():
        with only_writer(folder):
            pass


def refuse_if_unwritable(
    folder: Path,
    *,
    way_out: str = "get the right to write there, make room, or choose another place",
) -> None:
    """Raise if nothing can be written into ``folder``; leave no trace, not even a folder that was missing.

    Args:
        folder: need not exist; then the nearest folder above counts.
        way_out: what the user can do.

    Raises:
        OSError: in words that say what to do; of the kind that writing would have raised.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is a file, expected a folder for {folder.name}; {way_out}")
    try:
        # On Linux, a file without a name.
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        text = f"{error.strerror or error}: nothing can be written into {there}"
        raise OSError(error.errno, f"{text}; {way_out}") from error


def _lock_file(folder: Path) -> Path:
    # Several paths may lead to one folder.
    folder = folder.resolve()
    return folder.parent / f".{folder.name}.lock"
