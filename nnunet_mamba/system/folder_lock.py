"""The right to write into a folder: whether the system grants it, and locks for one process at a time, or several."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nnunet_mamba.system.atomic import folder_unless_empty
from nnunet_mamba.system.file_lock import FileLock

# Hidden, and inside of the folder: its user may have no right to write beside it.
LOCK_FILE = ".nnunet_mamba.lock"
_SHARED = ".nnunet_mamba.{}.lock"
# Seconds in which hundreds of jobs that begin at once have had their turn.
_LONGEST_BEGINNING = 60.0


@contextmanager
def only_writer(folder: Path, *, beside: bool = False) -> Iterator[None]:
    """Hold the lock of ``folder``, which need not exist; the system takes it from a killed process.

    Args:
        folder: made, and removed if the block leaves nothing in it.
        beside: whether the lock lies beside the folder, which the block itself then makes and removes.

    Raises:
        FileExistsError: another process is writing there.
        OSError: nothing can be written there.
    """
    with ExitStack() as stack:
        stack.enter_context(folder_unless_empty(folder.parent if beside else folder))
        stack.enter_context(_held(folder.with_name(f".{folder.name}.lock") if beside else folder / LOCK_FILE, folder))
        for file in () if beside else folder.glob(_SHARED.format("*")):
            # What is not held was left by a killed process.
            with _held(file, folder):
                pass
        yield


@contextmanager
def one_of_writers(folder: Path, name: str) -> Iterator[None]:
    """Hold a share of the lock of ``folder``, beside others of other names, but beside no ``only_writer``.

    Args:
        folder: made, and removed if the block leaves nothing in it.
        name: of the share, for the name of a file.

    Raises:
        FileExistsError: another process is the only writer there, or has this share.
        OSError: nothing can be written there.
    """
    # This before that: whoever is to be the only one looks for them in the other order, so one sees the other.
    with folder_unless_empty(folder), _held(folder / _SHARED.format(name), folder):
        with first_of_writers(folder):
            pass
        yield


@contextmanager
def first_of_writers(folder: Path) -> Iterator[None]:
    """Let no other process begin to write into ``folder`` during the block, which is to be short.

    Args:
        folder: of which this process has a share.

    Raises:
        FileExistsError: another process is the only writer there.
        OSError: nothing can be written there.
    """
    with _held(folder / LOCK_FILE, folder, seconds=_LONGEST_BEGINNING):
        yield


@contextmanager
def _held(file: Path, folder: Path, *, seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock of a file, and remove it at the end.

    Args:
        file: need not exist.
        folder: that it stands for.
        seconds: to wait for it.
    """
    lock = FileLock(file)
    if not lock.acquire(seconds=seconds):
        raise FileExistsError(
            f"{folder}: another process is writing there, expected to be the only one; wait for it, or choose another "
            f"folder"
        )
    try:
        yield
    finally:
        # Delete the file while the lock is held: the next process makes its own.
        file.unlink(missing_ok=True)
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
    if (folder / LOCK_FILE).exists():
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
        inside = "" if there == folder else f" for {folder.name}"
        raise NotADirectoryError(f"{there} is a file, expected a folder{inside}; {way_out}")
    try:
        # On Linux, a file without a name.
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        text = f"{error.strerror or error}: nothing can be written into {there}"
        raise OSError(error.errno, f"{text}; {way_out}") from error
