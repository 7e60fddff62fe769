"""The files in a zip archive: their names, without folders and what file managers add."""

import stat
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

# What file managers of any system put beside files.
LITTER_FOLDERS = ("__MACOSX",)
LITTER_FILES = (".ds_store", "thumbs.db", "desktop.ini")
LONGEST_NAME = 255  # bytes, of nearly all file systems
# Methods that Python unpacks: stored, deflate, bzip2, lzma.
_KNOWN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_METHOD_NAMES = {
    1: "shrink",
    6: "implode",
    9: "Deflate64, as Windows packs large files",
    93: "Zstandard",
    95: "xz",
    98: "PPMd",
}
_IS_UTF8, _IS_ENCRYPTED = 0x800, 0x1
_DOS_FOLDER = 0x10


class HarmfulMemberError(ValueError):
    """An entry cannot or must not be unpacked; the text does not name the archive."""


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Args:
        entry: of the archive.
        path: where it belongs, below the folder that the archive is unpacked into.
    """

    entry: zipfile.ZipInfo
    path: PurePosixPath


def files_of(archive: zipfile.ZipFile) -> list[Member]:
    """Return the files in an archive, without folders and without what file managers add.

    Args:
        archive: open for reading.

    Raises:
        HarmfulMemberError: one leads out of the folder, is a link, encrypted, packed in an unknown way, or there twice.
    """
    members = []
    for entry in archive.infolist():
        name = _name_of(entry)
        path = _path_of(name)
        if _is_folder(entry, name) or _is_litter(path):
            continue
        _refuse_kind(entry, name)
        members.append(Member(entry, path))
    _refuse_clashes([member.path for member in members])
    return members


def _name_of(entry: zipfile.ZipInfo) -> str:
    """Return a name with ``/`` between folders: Windows programs write backslashes, others UTF-8 without saying so."""
    name = entry.filename
    if not entry.flag_bits & _IS_UTF8 and not name.isascii():
        try:
            name = name.encode("cp437").decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            # An old code page: the names of images and masks still agree.
            name = entry.filename
    return name.removeprefix("\ufeff").replace("\\", "/")


def _path_of(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]):
        raise HarmfulMemberError(
            f"{name!r} leads out of the archive's own folder, expected names inside it; do not trust this file, "
            "download it from its publisher"
        )
    if any(len(part.encode(errors="replace")) > LONGEST_NAME for part in path.parts):
        raise HarmfulMemberError(
            f"{name[:40] + '...'!r} has a name too long for this disk; rename it and pack it again"
        )
    return path


def _is_folder(entry: zipfile.ZipInfo, name: str) -> bool:
    is_empty = entry.file_size == 0
    return name.endswith("/") or name in ("", ".") or (is_empty and bool(entry.external_attr & _DOS_FOLDER))


def _is_litter(path: PurePosixPath) -> bool:
    return any(part in LITTER_FOLDERS for part in path.parts[:-1]) or path.name.lower() in LITTER_FILES


def _refuse_kind(entry: zipfile.ZipInfo, name: str) -> None:
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise HarmfulMemberError(
            f"{name!r} is a link, expected files; unpack it yourself, look where it leads, and give the folder"
        )
    if entry.flag_bits & _IS_ENCRYPTED:
        raise HarmfulMemberError(f"{name!r} is encrypted; unpack it yourself and give the folder")
    if entry.compress_type not in _KNOWN_METHODS:
        method = _METHOD_NAMES.get(entry.compress_type, f"method {entry.compress_type}")
        raise HarmfulMemberError(
            f"{name!r} is packed in a way that is not known here ({method}); unpack it yourself and give the folder"
        )


def _refuse_clashes(paths: Sequence[PurePosixPath]) -> None:
    """Raise if two files have one name, or a file the name of a folder."""
    seen: set[PurePosixPath] = set()
    folders = {folder for path in paths for folder in path.parents}
    for path in paths:
        if path in seen:
            raise HarmfulMemberError(f"holds '{path}' twice, expected every name once; unpack it and give the folder")
        if path in folders:
            raise HarmfulMemberError(f"holds '{path}' as a file and as a folder; unpack it and give the folder")
        seen.add(path)
