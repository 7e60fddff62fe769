"""Zip archives in the place of folders: unpacked beside the target, and only if that can do no harm."""

import errno
import lzma
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

from tqdm import tqdm

from nnunet_mamba.data.folder_lock import only_writer, refuse_if_unwritable

# The largest public set, ISIC's training images, has 10 GB; text compresses a hundred times, images hardly at all.
LARGEST_TOTAL = 100 * 2**30
LARGEST_RATIO = 200
SMALLEST_SUSPICIOUS = 100 * 2**20
_COPIED_AT_ONCE = 2**20
# NotImplementedError, of unknown ways to pack, is a RuntimeError.
_DAMAGED = (zipfile.BadZipFile, EOFError, RuntimeError, zlib.error, lzma.LZMAError)
_PREFIX = ".partial-unpacked-"


class ArchiveError(ValueError):
    """An archive cannot be unpacked safely; nothing of it is left on the disk."""


@contextmanager
def unpacked(source: Path, *, beside: Path, progress: bool = False) -> Iterator[Path]:
    """Give the folder that a path means: the folder itself, or what a zip archive holds, while the block runs.

    Args:
        source: a folder, or a zip archive; one that packs a single folder means what is in it.
        beside: the archive is unpacked into a hidden folder there, which is removed at the end; created if it is not
            there.
        progress: show a bar on standard error.

    Raises:
        ArchiveError: the archive is damaged or encrypted, leads out of its folder, holds links, or would fill the disk.
        OSError: it cannot be read, or the disk is full; nothing of it is left.
    """
    if source.is_dir() or source.suffix.lower() != ".zip":
        yield source
        return
    if not zipfile.is_zipfile(source):
        raise ArchiveError(f"{source}: not a zip archive, or its end is missing; download it again")
    refuse_if_unwritable(beside)
    beside.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(beside)
    folder = beside / f"{_PREFIX}{uuid4().hex}"
    with only_writer(folder):
        try:
            folder.mkdir(mode=0o700)
            # Problems name files, and files the archive that they are of.
            content = folder / source.name
            content.mkdir()
            _unpack(source, content, progress=progress)
            yield _without_wrapper(content)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(beside: Path) -> None:
    """Delete what killed runs have unpacked: nobody holds the right to write into it any more."""
    for folder in beside.glob(f"{_PREFIX}*"):
        with suppress(FileExistsError), only_writer(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _without_wrapper(folder: Path) -> Path:
    """Return the folder inside, where the archive holds a single one, as a packed folder does."""
    content = [path for path in folder.iterdir() if path.name != "__MACOSX"]
    return content[0] if len(content) == 1 and content[0].is_dir() else folder


def _unpack(source: Path, folder: Path, *, progress: bool) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _refuse_harm(source, members, free=shutil.disk_usage(folder).free)
            total = sum(member.file_size for member in members)
            bar: tqdm[Any]
            with tqdm(total=total, desc="unpacking", unit="B", unit_scale=True, disable=not progress) as bar:
                for member in members:
                    _unpack_member(archive, member, folder / PurePosixPath(member.filename), bar=bar)
    except _DAMAGED as error:
        raise _damaged(source, error) from error
    except OSError as error:
        # bz2 has no error of its own, and a damaged offset may lie before the file.
        if error.errno in (None, errno.EINVAL):
            raise _damaged(source, error) from error
        raise OSError(
            error.errno,
            f"{error.strerror}, while unpacking {source} into {folder.parent.parent}; nothing of it is left. Make "
            f"room, or choose another place with --output, and run the same command again",
        ) from error


def _damaged(source: Path, error: Exception) -> ArchiveError:
    return ArchiveError(f"{source}: damaged, or packed in a way that is not known ({error}); download it again")


def _unpack_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, *, bar: "tqdm[Any]") -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with archive.open(member) as packed, target.open("xb") as file:
        while chunk := packed.read(_COPIED_AT_ONCE):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile(f"{member.filename} is longer than it says")
            file.write(chunk)
            bar.update(len(chunk))


def _refuse_harm(source: Path, members: list[zipfile.ZipInfo], *, free: int) -> None:
    """Raise if unpacking could write elsewhere or fill the disk."""
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise ArchiveError(
                f"{source}: {member.filename!r} leads out of the archive's own folder, expected names inside it; do "
                f"not trust this file, download it from its publisher"
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ArchiveError(
                f"{source}: {member.filename!r} is a link, expected files; unpack it yourself, look where it leads, "
                f"and give the folder"
            )
        if member.flag_bits & 0x1:
            raise ArchiveError(f"{source}: {member.filename!r} is encrypted; unpack it yourself and give the folder")
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ArchiveError(f"{source}: holds {twice!r} twice, expected every name once; unpack it and give the folder")
    total, packed = sum(member.file_size for member in members), sum(member.compress_size for member in members)
    if total > LARGEST_TOTAL or (total > SMALLEST_SUSPICIOUS and total > LARGEST_RATIO * max(packed, 1)):
        raise ArchiveError(
            f"{source}: says that {packed / 2**20:.0f} MiB become {total / 2**20:.0f} MiB, expected at most "
            f"{LARGEST_RATIO} times as much and {LARGEST_TOTAL / 2**30:.0f} GiB in all; if that is right, unpack it "
            f"yourself and give the folder"
        )
    if total > free:
        raise ArchiveError(
            f"{source}: needs {total / 2**20:.0f} MiB, and {free / 2**20:.0f} MiB are free beside the target; make "
            f"room, or choose another place with --output"
        )
