"""nnU-Net's own folders, as its environment variables name them, and paths that nobody can mean."""

import os
import re
from pathlib import Path

_HOLDS = {
    "nnUNet_raw": "the data sets as nnU-Net reads them",
    "nnUNet_preprocessed": "plans and preprocessed data sets",
    "nnUNet_results": "trained networks",
}
VARIABLES = tuple(_HOLDS)
_DATASET = re.compile(r"Dataset(\d+)_")
# $HOME, ${HOME} and $(pwd) at the beginning of a part of a path, %USERPROFILE% of Windows.
_OF_A_SHELL = re.compile(r"(?:^|[\\/])(\$(?:[A-Za-z_]\w*|\{[^}/]*\}|\([^)]*\)))|(%\w+%)")


def dataset_number(name: str) -> int | None:
    """Return the number in the name of a data set's folder, such as 101 of ``Dataset101_ISIC``; None for other names.

    Args:
        name: of a folder.
    """
    found = _DATASET.match(name)
    return int(found[1]) if found else None


def nnunet_folder(variable: str) -> Path:
    """Return the folder that one of nnU-Net's environment variables names; it need not exist.

    nnU-Net takes the value as it stands, so a value that only a shell would understand is refused.

    Args:
        variable: one of ``VARIABLES``.

    Raises:
        FileNotFoundError: the variable is not set, or empty; says how to set it.
        ValueError: its value is not the full path of a folder; says why and how to set it.
    """
    value = os.environ.get(variable)
    if not value:
        raise FileNotFoundError(
            f"The environment variable {variable} is {'not set' if value is None else 'empty'}. "
            f"It names the folder that holds {_HOLDS[variable]}; "
            f"nnU-Net's commands need it too. Set it in the terminal you work in:\n"
            f"  Linux, macOS:        export {variable}=/path/to/{variable}\n"
            f"  Windows PowerShell:  $env:{variable} = 'C:\\path\\to\\{variable}'"
        )
    if (finding := wrong_folder(value)) is not None:
        what, remedy = finding
        raise ValueError(
            f"The environment variable {variable} is {value!r}: {what}. nnU-Net takes the value as it stands and would "
            f"make a folder of that name. Set it to the full path: {export(variable, remedy)}"
        )
    return Path(value)


def nnunet_folder_if_set(variable: str) -> Path | None:
    """Return the folder that one of nnU-Net's environment variables names, None where it is not set or empty.

    Args:
        variable: one of ``VARIABLES``.

    Raises:
        ValueError: its value is not the full path of a folder.
    """
    return nnunet_folder(variable) if os.environ.get(variable) else None


def wrong_folder(value: str) -> tuple[str, str] | None:
    """Return why a text cannot be the full path of a folder, and the path that is probably meant; None if it can.

    Args:
        value: of an environment variable.
    """
    if (what := unexpanded(value)) is not None:
        return what, _meant(value)
    if not os.path.isabs(value):
        return "a relative path means another folder in every working directory", os.path.join("$PWD", _meant(value))
    path = Path(value)
    for place in (path, *path.parents):
        # os.path: pathlib raises where a folder above may not be looked into.
        if os.path.lexists(place):
            if os.path.isdir(place):
                return None
            return f"{place} is not a folder", "/path/to/a/folder"
    return None


def export(variable: str, path: str) -> str:
    """Return the shell's command that sets a variable to a path.

    Args:
        variable: its name.
        path: the shell replaces what begins with a dollar sign in it.
    """
    return f'export {variable}="{path}"'


def unexpanded(path: str) -> str | None:
    """Return what makes a path useless without a shell, such as a tilde; None for a path that can be taken as it is.

    Args:
        path: as a variable or an option gives it.
    """
    if path != path.strip():
        return "it begins or ends with a space or a line break"
    if any(ord(character) < 32 for character in path):
        return "it has a line break or another control character in it"
    if path[:1] in "\"'" or path[-1:] in "\"'":
        return "quotes are part of it"
    if path.startswith("~"):
        return "'~' stands for the home folder in a shell only"
    if (found := _OF_A_SHELL.search(path)) is not None:
        name = found[1] or found[2]
        return f"{name!r} stands for something else in a shell only"
    return None


def _meant(path: str) -> str:
    """Return a path for an export in double quotes: trimmed, and with $HOME for the tilde."""
    meant = re.sub(r"[\x00-\x1f]+", "", path).strip(" \"'")
    if meant == "~" or meant.startswith(("~/", "~\\")):
        return f"$HOME{meant[1:]}"
    # ~user is somebody else's, and %NAME% is Windows'.
    return "/path/to/a/folder" if meant.startswith("~") or "%" in meant or not meant else meant
