"""Which files of a folder are label maps, and which other files may be meant."""

import unicodedata
from collections import Counter
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

SHOWN_NAMES = 5


def label_map_files(folder: Path, file_ending: str, *, holds: str) -> dict[str, Path]:
    """Return the label maps in a folder by identifier, sorted.

    Args:
        folder: looked at without its subfolders.
        file_ending: with its dot.
        holds: what the folder should hold, in a word, for the texts of errors.

    Raises:
        FileNotFoundError: there is no such folder, or it holds none.
        NotADirectoryError: it is a file.
    """
    refuse_if_no_folder(folder, holds=holds)
    found = sorted(path for path in folder.iterdir() if path.name.endswith(file_ending))
    files = {path.name[: -len(file_ending)]: path for path in found if not path.name.startswith(".")}
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no {file_ending} files; dataset.json says that label maps end so. {_content(folder)}"
        )
    return files


def refuse_if_no_folder(folder: Path, *, holds: str) -> None:
    """Raise if there is no such folder.

    Args:
        folder: the path.
        holds: what it should hold, in a word.

    Raises:
        FileNotFoundError: there is nothing of this name.
        NotADirectoryError: it is a file.
    """
    if folder.is_dir():
        return
    if folder.exists():
        raise NotADirectoryError(f"{folder} is a file, expected the folder of {holds}")
    parent = folder.absolute().parent
    text = f"The folder of {holds} {folder} does not exist"
    if not parent.is_dir():
        missing = next(path for path in (parent, *parent.parents) if path.parent.is_dir())
        raise FileNotFoundError(f"{text}, nor does {missing}")
    similar = get_close_matches(folder.name, [path.name for path in parent.iterdir() if path.is_dir()], n=1)
    raise FileNotFoundError(f"{text}; did you mean {parent / similar[0]}?" if similar else text)


def _content(folder: Path) -> str:
    """Return what a folder holds instead of label maps."""
    paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    endings = Counter(_ending(path.name) for path in paths if path.is_file())
    if endings:
        listed = ", ".join(
            f"{count} {ending or 'without ending'}" for ending, count in endings.most_common(SHOWN_NAMES)
        )
        return f"It holds files of other endings: {listed}"
    folders = sorted(path.name for path in paths if path.is_dir())
    if not folders:
        return "It is empty"
    more = ", …" if len(folders) > SHOWN_NAMES else ""
    return f"It holds only folders: {', '.join(folders[:SHOWN_NAMES])}{more}; name the one with the label maps"


def _ending(name: str) -> str:
    lower = name.lower()
    return name[-len(".nii.gz") :] if lower.endswith(".nii.gz") else Path(name).suffix


def other_forms(folder: Path, identifiers: Collection[str], file_ending: str) -> dict[str, str]:
    """Return the name of a file that may be meant for an identifier: with another ending, capitals or code of accents.

    Args:
        folder: of label maps.
        identifiers: of cases without a label map there.
        file_ending: of label maps.

    Returns:
        File names by identifier, without the identifiers for which there is none.
    """
    wanted = {_form(identifier): identifier for identifier in identifiers}
    found: dict[str, str] = {}
    for name in sorted(path.name for path in folder.iterdir() if path.is_file()):
        is_label_map = name.lower().endswith(file_ending.lower())
        stem = name[: -len(file_ending)] if is_label_map else name[: len(name) - len(_ending(name))]
        if (identifier := wanted.get(_form(stem))) is not None:
            is_encoded_otherwise = stem.lower() != identifier.lower()
            found.setdefault(
                identifier, f"{name}, whose accents are encoded in another way" if is_encoded_otherwise else name
            )
    return found


def _form(identifier: str) -> str:
    return unicodedata.normalize("NFC", identifier).lower()
