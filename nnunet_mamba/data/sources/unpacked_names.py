"""Names of files from an unpacked archive: by the archive, since the folder that holds them is removed soon."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nnunet_mamba.data.problems import InvalidDatasetError, Problem

# Folder of what an archive holds to the archive, while it is unpacked.
_archive_of: dict[str, str] = {}


@contextmanager
def named_by_archive(folder: Path, archive: Path) -> Iterator[None]:
    """Let messages name an archive instead of the folder that it is unpacked into, those of the block's errors too.

    Args:
        folder: holds what is in the archive.
        archive: as the user has called it.
    """
    names = {str(folder), str(folder.resolve())}
    _archive_of.update(dict.fromkeys(names, str(archive)))
    try:
        yield
    except InvalidDatasetError as error:
        error.problems = tuple(problems_as_packed(error.problems))
        error.args = tuple(name_as_packed(str(part)) for part in error.args)
        raise
    except (OSError, ValueError) as error:
        _rename(error)
        raise
    finally:
        for name in names:
            _archive_of.pop(name, None)


def name_as_packed(text: str) -> str:
    """Return a text that names every unpacked file by its archive and its place in it.

    Args:
        text: of a message, or a path.
    """
    # The longest first: one may be the beginning of another.
    for folder in sorted(_archive_of, key=len, reverse=True):
        text = text.replace(folder, _archive_of[folder])
    return text


def problems_as_packed(problems: Sequence[Problem]) -> list[Problem]:
    """Return problems that name archives instead of the folders that these are unpacked into.

    Args:
        problems: of cases.
    """
    if not _archive_of:
        return list(problems)
    return [
        replace(
            problem,
            identifier=name_as_packed(problem.identifier),
            text=name_as_packed(problem.text),
            file=None if problem.file is None else Path(name_as_packed(str(problem.file))),
        )
        for problem in problems
    ]


def _rename(error: OSError | ValueError) -> None:
    error.args = tuple(name_as_packed(part) if isinstance(part, str) else part for part in error.args)
    if isinstance(error, OSError):
        for attribute in ("strerror", "filename", "filename2"):
            if isinstance(value := getattr(error, attribute, None), str | Path):
                setattr(error, attribute, name_as_packed(str(value)))
