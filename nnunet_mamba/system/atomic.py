"""Files and folders that are either whole or not there."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL_PREFIX = ".partial-"
_LONGEST_NAME = 255  # bytes
_LONGEST_ENDING, _DIGEST_LENGTH = 16, 32


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that becomes ``path`` only if the block succeeds.

    It lies in the same folder, because a rename is atomic only within a file system, and has the same
    ending, because writers look at it. The block creates the file itself, so it gets the permissions that
    the user's umask gives, which those of ``tempfile`` (owner only) are not.

    Args:
        path: the file to create or replace; its folder is created.

    Raises:
        OSError: the file cannot be written; nothing partial is left, an earlier ``path`` is untouched. It names
            ``path``, also where the system names no file, as for a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(_partial_name(path.name))
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        _name_path(error, path, temporary)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path`` that becomes ``path`` only if the block succeeds.

    Args:
        path: the folder to create; those above it are created.

    Raises:
        FileExistsError: there is something at ``path``, before the block or after it; nothing of it is touched.
        OSError: the folder cannot be written; nothing partial is left. It names ``path`` where the system names none.
    """
    _refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{PARTIAL_PREFIX}{os.getpid()}-{path.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        # Renaming would replace an empty folder that somebody has made meanwhile.
        _refuse_existing(path)
        temporary.rename(path)
    except OSError as error:
        _name_path(error, path, temporary)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def folder_unless_empty(path: Path) -> Iterator[None]:
    """Make a folder for the block, and remove it afterwards if nothing is in it.

    Args:
        path: the folder; those above it are made, and removed, too. What was there before stays.

    Raises:
        OSError: it cannot be made.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        # One that holds something stays, with those above it.
        with suppress(OSError):
            for folder in made:
                folder.rmdir()


def _partial_name(name: str) -> str:
    """Return a name for what is not whole yet, with the same ending and no longer than file systems take."""
    partial = f"{PARTIAL_PREFIX}{os.getpid()}-{name}"
    if len(os.fsencode(partial)) <= _LONGEST_NAME:
        return partial
    # Its beginning could end amid a character.
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:_DIGEST_LENGTH]
    return f"{PARTIAL_PREFIX}{os.getpid()}-{digest}{''.join(Path(name).suffixes[-2:])[-_LONGEST_ENDING:]}"


def _name_path(error: OSError, path: Path, temporary: Path) -> None:
    """Let an error of writing name the path that was meant."""
    # An error without a number has its own text, which a file name would replace.
    if error.errno is not None and error.filename in (None, str(temporary)):
        error.filename = str(path)


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "exists already", str(path))


def remove_partial_files(folder: Path, *, below: bool = False) -> None:
    """Delete what killed runs left in ``folder``: nnU-Net would take a partial .png for a case.

    Args:
        folder: need not exist.
        below: look also into its subfolders, but not into those that are partial themselves or lie behind links.
    """
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if below and not name.startswith(PARTIAL_PREFIX)]
        for name in files:
            if name.startswith(PARTIAL_PREFIX):
                Path(here, name).unlink(missing_ok=True)
