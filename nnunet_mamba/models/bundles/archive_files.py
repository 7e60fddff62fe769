"""Single files out of zip archives from strangers, read into memory and never further than they say."""

import errno
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from nnunet_mamba.data.sources.archive_members import HarmfulMemberError, files_of

# Weights hardly shrink, and a text of a few kilobytes may shrink as it likes.
_LARGEST_RATIO = 100
_SMALLEST_SUSPICIOUS = 16 * 2**20
_DAMAGED = (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, OverflowError, struct.error, zlib.error)
_NOT_TRUSTED = "do not trust this file, get the model from its author"


class _RefusedError(ValueError):
    """A file in an archive must not be read; the text names both."""


def files_in(path: Path) -> list[PurePosixPath]:
    """Return the files in a zip archive, without what file managers add.

    Args:
        path: of the archive.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or no zip archive, or holds what must not be read, such as links.
    """
    with _opened(path) as archive:
        return [member.path for member in files_of(archive)]


def read_file_in(path: Path, name: PurePosixPath, *, most: int) -> bytes:
    """Return the content of a file in a zip archive.

    Args:
        path: of the archive.
        name: of the file, one of ``files_in``.
        most: bytes that it may have.

    Raises:
        OSError: the archive cannot be read.
        ValueError: as ``files_in``; or the file is too large, or not as large as it says.
    """
    with _opened(path) as archive:
        entry = next(member.entry for member in files_of(archive) if member.path == name)
        refuse_size(f"{path}: {name}", entry.file_size, most)
        if entry.file_size > max(_SMALLEST_SUSPICIOUS, _LARGEST_RATIO * entry.compress_size):
            raise _RefusedError(
                f"{path}: {name} says that {entry.compress_size} bytes become {entry.file_size}, expected at most "
                f"{_LARGEST_RATIO} times as many; {_NOT_TRUSTED}"
            )
        with archive.open(entry) as packed:
            content = packed.read(entry.file_size + 1)
        if len(content) != entry.file_size:
            raise zipfile.BadZipFile(f"{name} is not as long as it says")
        return content


def refuse_size(place: str, size: int, most: int) -> None:
    """Raise if a file is larger than any of its kind.

    Args:
        place: what to call it.
        size: bytes that it has.
        most: bytes that it may have.

    Raises:
        ValueError: it is too large.
    """
    if size > most:
        raise _RefusedError(
            f"{place} has {size / 2**20:.0f} MiB, expected at most {most / 2**20:.0f} MiB; {_NOT_TRUSTED}"
        )


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _RefusedError:
        raise
    except HarmfulMemberError as error:
        raise ValueError(f"{path}: {error}") from error
    except _DAMAGED as error:
        raise _damaged(path, error) from error
    except OSError as error:
        # A damaged offset may lie before the file's start.
        if error.errno in (None, errno.EINVAL):
            raise _damaged(path, error) from error
        raise


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is damaged, or no zip archive ({error}); get it again")
