"""Walk through folders of images: follow links, and report what cannot be entered."""

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from nnunet_mamba.data.problems import Problem

# TCGA.01 and scan.v2 may be folders.
_FILE_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{2,8}")


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is left out: macOS writes ``._name.jpg``.

    Args:
        name: without its folder.
    """
    return name.startswith(".")


def visible_entries(folder: Path) -> list[Path]:
    """Return what lies directly in ``folder``, sorted, without hidden names. Broken links are included.

    Args:
        folder: may be a link to a folder.

    Raises:
        NotADirectoryError: ``folder`` is not a folder.
        PermissionError: it cannot be read, in words.
    """
    return [path for path, _ in _entries(folder)]


def _entries(folder: Path) -> list[tuple[Path, bool]]:
    """Return what ``visible_entries`` does, and of each whether it is a folder."""
    if not folder.is_dir():
        missing = "" if folder.exists() else ": nothing of this name is there"
        raise NotADirectoryError(f"{folder} is not a folder{missing}; expected one that holds images")
    try:
        with os.scandir(folder) as entries:
            # The scan tells what is a folder; asking for each of a hundred thousand files takes several times as long.
            # A link is asked, since where it leads may be nowhere, or a circle.
            found = sorted(
                (entry.name, None if entry.is_symlink() else entry.is_dir())
                for entry in entries
                if not is_hidden(entry.name)
            )
    except PermissionError as error:
        raise _without_permission(folder, error) from error
    paths = [(folder / name, is_folder) for name, is_folder in found]
    return [(path, path.is_dir() if is_folder is None else is_folder) for path, is_folder in paths]


def files_below(folder: Path, *, depth: int | None = None) -> Iterator[Path]:
    """Yield the visible files below ``folder``, sorted. Links to folders are followed, those that lead back are not.

    Args:
        folder: may be a link to a folder.
        depth: how many folders below are entered; None means all.

    Yields:
        Files and broken links, whose reader reports that the file is missing.

    Raises:
        NotADirectoryError: ``folder`` is not a folder.
        PermissionError: a folder cannot be read; its cases would be missing without notice.
    """
    yield from _files_below(folder, depth, above=frozenset())


def _files_below(folder: Path, depth: int | None, *, above: frozenset[str]) -> Iterator[Path]:
    here = os.path.realpath(folder)
    if here in above:
        return
    subfolders = []
    for path, is_folder in _entries(folder):
        if is_folder:
            subfolders.append(path)
        else:
            yield path
    if depth == 0:
        return
    for subfolder in subfolders:
        yield from _files_below(subfolder, None if depth is None else depth - 1, above=above | {here})


def refuse_unreadable(folder: Path, *, is_listed: bool = True) -> None:
    """Raise if what lies in a folder cannot be found, which a search for names passes over in silence.

    Args:
        folder: that is there.
        is_listed: whether all names in it are wanted, rather than one that is known.

    Raises:
        OSError: it cannot be read; of a missing right in words.
    """
    try:
        if is_listed:
            os.scandir(folder).close()
        if not os.access(folder, os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    except PermissionError as error:
        raise _without_permission(folder, error) from error


def lost_folders(folder: Path, *, depth: int | None = None) -> list[Problem]:
    """Return a problem for every broken link that may have led to a folder of cases.

    A link whose name has a file ending is no folder; if it fits a pattern, it is a file that cannot be read.

    Args:
        folder: where the walk begins.
        depth: how many folders below are entered; None means all.

    Raises:
        PermissionError: a folder cannot be read.
    """
    return [
        lost_folder(path, below=folder)
        for path in files_below(folder, depth=None if depth is None else max(depth - 1, 0))
        if depth != 0 and is_broken_link(path) and not _FILE_ENDING.fullmatch(path.suffix)
    ]


def is_broken_link(path: Path) -> bool:
    """Return whether ``path`` is a link to something that is not there.

    Args:
        path: any.
    """
    return path.is_symlink() and not path.exists()


def lost_folder(path: Path, *, below: Path) -> Problem:
    """Return the problem of a broken link.

    Args:
        path: the link.
        below: the folder that it was found in.
    """
    text = (
        f"a link to {os.readlink(path)}, which is not there, expected a folder; bring it back, or remove the link if "
        "nothing is missing"
    )
    return Problem(path.relative_to(below).as_posix(), text, path)


def _without_permission(folder: Path, error: OSError) -> PermissionError:
    text = (
        f"{error.strerror or error}: {folder} cannot be read, and its cases would be missing; get the right to read "
        "it, or move it away"
    )
    refusal = PermissionError(text)
    refusal.errno = error.errno or errno.EACCES
    return refusal
