"""A lock that one process has at a time, and that the system takes from a killed one: that of an open file."""

import os
import sys
import time
from pathlib import Path
from types import TracebackType

_PAUSE = 0.05  # s


class FileLock:
    """The lock of a file, also between threads and between two of the same path in one thread.

    Args:
        path: of the file, which is made where it is missing, and stays; whoever has the lock may remove it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self, *, seconds: float | None = None) -> bool:
        """Wait for the lock and return whether it is this one's now.

        Args:
            seconds: to wait at most; None waits for as long as it takes.

        Raises:
            OSError: the file cannot be made or opened, or its file system knows no locks.
        """
        end = None if seconds is None else time.monotonic() + seconds
        while not self._is_taken_now():
            if end is not None and time.monotonic() >= end:
                return False
            time.sleep(_PAUSE)
        return True

    def _is_taken_now(self) -> bool:
        """Take the lock if nobody has it, and return whether that is so."""
        is_locked = True
        while is_locked and self._file is None:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                is_locked = _is_locked_now(file)
                # Whoever had it before may have removed the file since it was opened, and another one have made a new
                # one: that file's lock is the one which counts.
                if is_locked and self._is_path_of(file):
                    self._file = file
            finally:
                if self._file is None:
                    os.close(file)
        return is_locked

    def _is_path_of(self, file: int) -> bool:
        """Return whether the path still is that of an open file."""
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give the lock to the next one."""
        assert self._file is not None, "it was not acquired"
        file, self._file = self._file, None
        _unlock(file)
        os.close(file)

    def __enter__(self) -> "FileLock":
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


if sys.platform == "win32":
    import msvcrt

    def _is_locked_now(file: int) -> bool:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _unlock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _is_locked_now(file: int) -> bool:
        """Take the lock of an open file if nobody has it, and return whether that is so."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: int) -> None:
        # Closing would not do: a child that was forked meanwhile has the same open file.
        fcntl.flock(file, fcntl.LOCK_UN)
