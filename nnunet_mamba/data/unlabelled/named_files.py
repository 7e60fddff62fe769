"""The files that a user has named for a prediction: themselves, by folders, by patterns or in zip archives."""

import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from nnunet_mamba.data.formats.file_endings import OTHER_ARCHIVE_ENDINGS, ZIP_ENDING
from nnunet_mamba.data.problems import Problem
from nnunet_mamba.data.sources.copies import stem_of
from nnunet_mamba.data.sources.folder_walk import files_below, is_broken_link, lost_folder


@dataclass(frozen=True)
class NamedFile:
    """A file among those that a user has named.

    Args:
        path: of the file.
        folders: names of the folders between what the user has named and the file; masks keep them.
        is_named: whether the user has named the file, or a pattern of files, rather than a folder.
    """

    path: Path
    folders: tuple[str, ...] = ()
    is_named: bool = False

    @cached_property
    def parent(self) -> str:
        """The folder that it is in."""
        return os.path.dirname(self.path)

    @cached_property
    def stem(self) -> str:
        """Its name without ending."""
        return stem_of(self.path)


@dataclass(frozen=True, kw_only=True)
class NamedPlace:
    """One path or pattern that a user has named.

    Args:
        name: as the user has written it.
        files: that it stands for, sorted.
        folders: that were walked through.
        problems: what is wrong with it, such as that nothing is there.
    """

    name: str
    files: tuple[NamedFile, ...] = ()
    folders: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()


@contextmanager
def unpacked_archives(paths: Sequence[str | Path], *, output: Path, progress: bool = False) -> Iterator[list[str]]:
    """Give what paths stand for while the block runs: the same paths, with folders in the place of zip archives.

    Args:
        paths: files, folders, archives, and patterns such as ``photos/*.jpg``; what is not there is given as it is.
        output: where the masks are to go; archives are unpacked beside it, hidden, until the block ends.
        progress: show the unpacking on standard error.

    Raises:
        ArchiveError: an archive is no zip, damaged or encrypted, or could do harm.
        OSError: it cannot be read, or the disk is full.
    """
    with ExitStack() as stack:
        given: list[str] = []
        for path in map(str, paths):
            matches = [path] if os.path.lexists(path) or not glob.has_magic(path) else _matches(path)
            archives = [match for match in matches if is_archive(match)]
            # A pattern stays one for the files beside archives: it tells which folders masks keep.
            if not archives or len(archives) < len(matches):
                given.append(path)
            given += [str(stack.enter_context(_unpacked(Path(one), output, progress))) for one in archives]
        yield given


def _unpacked(archive: Path, output: Path, progress: bool) -> AbstractContextManager[Path]:
    # Where no archive is named, nothing of unpacking is loaded.
    from nnunet_mamba.data.sources.archives import unpacked

    return unpacked(archive, beside=output.absolute().parent, progress=progress)


def is_archive(path: str) -> bool:
    """Return whether a path is that of a file with the ending of an archive.

    Args:
        path: any.
    """
    return path.lower().endswith((ZIP_ENDING, *OTHER_ARCHIVE_ENDINGS)) and os.path.isfile(path)


def named_place(path: str) -> NamedPlace:
    """Return the files that a path or pattern stands for.

    Hidden files are passed over, and links are followed.

    Args:
        path: a file, a folder, or a pattern with ``*``, ``?``, ``[...]`` or ``**``, if nothing of that name is there.
    """
    if os.path.isdir(path):
        return _walked(path, [(Path(path), ())])
    if os.path.lexists(path):
        return NamedPlace(name=path, files=(NamedFile(Path(path), (), True),))
    if not glob.has_magic(path):
        return NamedPlace(name=path, problems=(Problem(path, "nothing of this name is there; correct the path"),))
    matches = _matches(path)
    if not matches:
        text = "no file fits this pattern; correct it, or name the folder"
        return NamedPlace(name=path, problems=(Problem(path, text),))
    base = _folder_of_pattern(path)
    folders = [one for one in matches if os.path.isdir(one)]
    walked = _walked(path, [(Path(one), Path(one).relative_to(base).parts) for one in folders])
    found = [NamedFile(Path(one), is_named=True) for one in sorted(set(matches) - set(folders))]
    between = {parent: Path(parent).relative_to(base).parts for parent in {file.parent for file in found}}
    # A pattern with ** fits folders and what is in them.
    of_path = {file.path: file for file in walked.files}
    of_path |= {file.path: replace(file, folders=between[file.parent]) for file in found}
    return NamedPlace(name=path, files=tuple(of_path.values()), folders=walked.folders, problems=walked.problems)


def _matches(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, recursive=True))


def _folder_of_pattern(pattern: str) -> Path:
    """Return the folder that a pattern begins with, before its first wildcard."""
    parts = Path(pattern).parts
    n_fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:n_fixed])


def _walked(name: str, folders: Sequence[tuple[Path, tuple[str, ...]]]) -> NamedPlace:
    """Return the files below folders, each with the names of the folders that it is in already."""
    files: list[NamedFile] = []
    problems: list[Problem] = []
    for folder, above in folders:
        # Told once for each folder, not for each of a hundred thousand files.
        inside: dict[str, tuple[str, ...]] = {}
        try:
            for path in files_below(folder):
                parent = os.path.dirname(path)
                if parent not in inside:
                    inside[parent] = (*above, *Path(parent).parts[len(folder.parts) :])
                files.append(NamedFile(path, inside[parent]))
                if not path.suffix and is_broken_link(path):
                    problems.append(lost_folder(path, below=folder))
        except OSError as error:
            problems.append(Problem(name, str(error), folder))
    return NamedPlace(
        name=name, files=tuple(files), folders=tuple(folder for folder, _ in folders), problems=tuple(problems)
    )
