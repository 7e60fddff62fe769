"""The files that a user has named for a prediction: themselves, by folders, by patterns or in zip archives."""

import glob
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from nnunet_mamba.data.formats.file_endings import OTHER_ARCHIVE_ENDINGS, ZIP_ENDING
from nnunet_mamba.data.problems import Problem
from nnunet_mamba.data.sources.copies import stem_of
from nnunet_mamba.data.sources.folder_walk import files_below, is_broken_link, lost_folder, refuse_unreadable


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
def unpacked_archives(
    paths: Sequence[str | Path], *, output: Path, progress: bool = False
) -> Iterator[list[NamedPlace]]:
    """Give what paths stand for while the block runs, with the folders that they hold in the place of zip archives.

    Args:
        paths: files, folders, archives, and patterns such as ``photos/*.jpg``.
        output: where the masks are to go; archives are unpacked beside it, hidden, until the block ends.
        progress: show the unpacking on standard error.

    Raises:
        ArchiveError: an archive is no zip, damaged or encrypted, or could do harm.
        OSError: it cannot be read, or the disk is full.
    """
    with ExitStack() as stack:
        given: list[NamedPlace] = []
        for path in map(str, paths):
            is_pattern = _is_pattern(path)
            matches = _matches(path) if is_pattern else [path]
            archives = [match for match in matches if is_archive(match)]
            if is_pattern:
                # A pattern stays one for the files beside archives: it tells which folders masks keep.
                place = _place_of_pattern(path, matches, unpacked=archives)
                if place.files or place.problems:
                    given.append(place)
            elif not archives:
                given.append(named_place(path))
            given += [named_place(str(stack.enter_context(_unpacked(Path(one), output, progress)))) for one in archives]
        yield given


def _unpacked(archive: Path, output: Path, progress: bool) -> AbstractContextManager[Path]:
    # Where no archive is named, nothing of unpacking is loaded.
    from nnunet_mamba.data.sources.archives import unpacked

    beside = output.absolute().parent
    # Whoever has the right to write in the folder need not have it beside; what is hidden there is no mask.
    place = output if output.is_dir() and not os.access(beside, os.W_OK) else beside
    return unpacked(archive, beside=place, progress=progress)


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
    if not _is_pattern(path):
        return NamedPlace(name=path, problems=(Problem(path, "nothing of this name is there; correct the path"),))
    return _place_of_pattern(path, _matches(path))


def _is_pattern(path: str) -> bool:
    return glob.has_magic(path) and not os.path.lexists(path)


def _place_of_pattern(pattern: str, matches: Sequence[str], *, unpacked: Collection[str] = ()) -> NamedPlace:
    """Return the files that a pattern stands for.

    Args:
        pattern: with ``*``, ``?``, ``[...]`` or ``**``.
        matches: what fits it.
        unpacked: archives among them, which the folders that they hold stand for.
    """
    lost = _lost_to_pattern(pattern)
    if not matches and not lost:
        text = "no file fits this pattern; correct it, or name the folder"
        return NamedPlace(name=pattern, problems=(Problem(pattern, text),))
    base = _folder_of_pattern(pattern)
    folders = [one for one in matches if os.path.isdir(one)]
    walked = _walked(pattern, [(Path(one), Path(one).relative_to(base).parts) for one in folders])
    found = [NamedFile(Path(one), is_named=True) for one in sorted({*matches} - {*folders} - {*unpacked})]
    between = {parent: Path(parent).relative_to(base).parts for parent in {file.parent for file in found}}
    # A pattern with ** fits folders and what is in them.
    of_path = {file.path: file for file in walked.files}
    of_path |= {file.path: replace(file, folders=between[file.parent]) for file in found}
    return NamedPlace(
        name=pattern,
        files=tuple(of_path.values()),
        folders=walked.folders,
        # Of folders in each other that fit, each tells what lies below it.
        problems=tuple({problem.text: problem for problem in (*lost, *walked.problems)}.values()),
    )


def _lost_to_pattern(pattern: str) -> list[Problem]:
    """Return a problem for each folder that may hold what a pattern is to find, and cannot be read.

    Python's glob passes over such a folder in silence.
    """
    parts = Path(pattern).parts
    first = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    problems: dict[str, Problem] = {}
    for number in range(first, len(parts)):
        # With a separator at its end, a pattern finds folders alone.
        for folder in glob.glob(os.path.join(*parts[:number], "") if number else os.curdir, recursive=True):
            try:
                refuse_unreadable(Path(folder), is_listed=glob.has_magic(parts[number]))
            except OSError as error:
                problems.setdefault(str(error), Problem(pattern, str(error), Path(folder)))
    return list(problems.values())


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
