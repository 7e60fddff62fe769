"""Zip archives in the place of folders: unpacked beside the target, unless that could do harm."""

import errno
import lzma
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from nnunet_mamba.data.formats.file_endings import OTHER_ARCHIVE_ENDINGS, ZIP_ENDING
from nnunet_mamba.data.sources.archive_members import HarmfulMemberError, Member, files_of
from nnunet_mamba.data.sources.unpacked_names import named_by_archive
from nnunet_mamba.system.atomic import folder_unless_empty
from nnunet_mamba.system.folder_lock import only_writer, refuse_if_unwritable
from nnunet_mamba.system.progress import ShownProgress

# The largest public set, ISIC's training images, has 10 GB; text compresses a hundred times, images hardly at all.
LARGEST_TOTAL = 100 * 2**30
LARGEST_RATIO = 200
SMALLEST_SUSPICIOUS = 100 * 2**20
_COPIED_AT_ONCE = 2**20
# NotImplementedError, of unknown ways to pack, is a RuntimeError.
_DAMAGED = (
    zipfile.BadZipFile,
    EOFError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
_PREFIX = ".partial-unpacked-"


class ArchiveError(ValueError):
    """An archive cannot be unpacked safely; nothing of it is left on the disk."""


@contextmanager
def unpacked(source: Path, *, beside: Path, progress: bool = False) -> Iterator[Path]:
    """Give the folder that a path stands for while the block runs: the folder itself, or what a zip archive holds.

    Args:
        source: a folder, or a zip archive; an archive of a single folder stands for the content of that folder.
        beside: folder in which the archive is unpacked, hidden, until the block ends; created if missing.
        progress: show it on standard error.

    Raises:
        ArchiveError: the archive is no zip, damaged or encrypted, leads out of its folder, holds links, or would fill
            the disk.
        OSError: it cannot be read, or the disk is full; nothing of it is left.
    """
    if source.is_dir() or not source.name.lower().endswith((ZIP_ENDING, *OTHER_ARCHIVE_ENDINGS)):
        yield source
        return
    if not source.exists():
        raise FileNotFoundError(errno.ENOENT, "no such archive", str(source))
    if source.suffix.lower() != ZIP_ENDING:
        raise ArchiveError(f"{source}: only .zip archives are unpacked; unpack it yourself and give the folder")
    if not zipfile.is_zipfile(source):
        raise ArchiveError(f"{source}: not a zip archive, or its end is missing; download it again")
    refuse_if_unwritable(
        beside, way_out="get the right to write there, make room, or choose another place with `output`"
    )
    folder = beside / f"{_PREFIX}{uuid4().hex}"
    with folder_unless_empty(beside), only_writer(folder, beside=True):
        _remove_abandoned(beside)
        try:
            folder.mkdir(mode=0o700)
            content = folder / source.name
            content.mkdir()
            _unpack(source, content, progress=progress)
            with named_by_archive(content, source):
                yield _without_wrapper(content)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(beside: Path) -> None:
    """Delete what killed runs have unpacked: nobody holds the lock of such a folder."""
    for folder in beside.glob(f"{_PREFIX}*"):
        with suppress(FileExistsError), only_writer(folder, beside=True):
            shutil.rmtree(folder, ignore_errors=True)


def _without_wrapper(folder: Path) -> Path:
    """Return the folder inside an archive that holds nothing else.

    It may hold such a folder in turn: one of the same name, or one with "images" in it.
    """
    names = {Path(folder.name).stem.casefold()}
    place, depth = folder, 0
    while inner := _only_folder(place):
        is_same = inner.name.casefold() in names
        if depth and not is_same and not any(path.name.casefold() == "images" for path in inner.iterdir()):
            break
        names.add(inner.name.casefold())
        place, depth = inner, depth + 1
    return place


def _only_folder(folder: Path) -> Path | None:
    content = list(folder.iterdir())
    return content[0] if len(content) == 1 and content[0].is_dir() else None


def _unpack(source: Path, folder: Path, *, progress: bool) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            members = files_of(archive)
            entries = [member.entry for member in members]
            _refuse_size(source, entries, free=shutil.disk_usage(folder).free)
            total = sum(entry.file_size for entry in entries)
            with ShownProgress(total, "unpacking", unit="B", is_shown=progress) as shown:
                for member in members:
                    _unpack_member(archive, member, folder / member.path, shown=shown)
    except ArchiveError:
        raise
    except HarmfulMemberError as error:
        raise ArchiveError(f"{source}: {error}") from error
    except _DAMAGED as error:
        raise _damaged(source, error) from error
    except OSError as error:
        # bz2 raises a plain OSError, and a damaged offset may lie before the file's start.
        if error.errno in (None, errno.EINVAL):
            raise _damaged(source, error) from error
        raise OSError(
            error.errno,
            f"{error.strerror}, while unpacking {source} into {folder.parent.parent}; nothing of it is left. Make "
            f"room, or choose another place with `output`, and run the same command again",
        ) from error


def _damaged(source: Path, error: Exception) -> ArchiveError:
    return ArchiveError(f"{source}: damaged, or packed in a way that is not known ({error}); download it again")


def _unpack_member(archive: zipfile.ZipFile, member: Member, target: Path, *, shown: ShownProgress) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.entry.file_size
    with archive.open(member.entry) as packed, target.open("xb") as file:
        while chunk := packed.read(_COPIED_AT_ONCE):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile(f"{member.path} is longer than it says")
            file.write(chunk)
            shown.update(len(chunk))


def _refuse_size(source: Path, entries: list[zipfile.ZipInfo], *, free: int) -> None:
    """Raise if unpacking could fill the disk."""
    total, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    if total > LARGEST_TOTAL or (total > SMALLEST_SUSPICIOUS and total > LARGEST_RATIO * max(packed, 1)):
        raise ArchiveError(
            f"{source}: says that {packed / 2**20:.0f} MiB become {total / 2**20:.0f} MiB, expected at most "
            f"{LARGEST_RATIO} times as much and {LARGEST_TOTAL / 2**30:.0f} GiB in all; if that is right, unpack it "
            f"yourself and give the folder"
        )
    if total > free:
        raise ArchiveError(
            f"{source}: needs {total / 2**20:.0f} MiB, and {free / 2**20:.0f} MiB are free beside the target; make "
            f"room, or choose another place with `output`"
        )
