"""Read JSON files of nnU-Net, of people and of this package; errors name the file and the place."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nnunet_mamba.system.text_files import read_text, read_utf8_text

# Python's own refusal of longer numbers names no file.
_MOST_DIGITS = 300
_KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "nothing (null)",
}


def read_json_file(path: Path, *, any_encoding: bool = False, unique_names: bool = False) -> Any:
    """Read a JSON file.

    Args:
        path: of the file.
        any_encoding: read every encoding that ``read_text`` does; otherwise UTF-8 without a byte order mark only,
            because nnU-Net reads nothing else.
        unique_names: refuse an object that has a name twice; otherwise its last value counts.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        ValueError: the file does not hold JSON; the text names the file.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected a JSON file")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    return parse_json(_text(path, any_encoding=any_encoding), str(path), unique_names=unique_names)


def parse_json(text: str, place: str, *, unique_names: bool = False) -> Any:
    """Return the content of a JSON text.

    Args:
        text: of a file, or of a part of one.
        place: what to call it.
        unique_names: refuse an object that has a name twice; otherwise its last value counts.

    Raises:
        ValueError: the text is not JSON; names the place.
    """
    if not text.strip():
        raise ValueError(f"{place} is empty, expected JSON")
    try:
        return json.loads(text, object_pairs_hook=_with_unique_names if unique_names else None, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place} is not JSON ({error}); is it complete?") from error
    except RecursionError as error:
        raise ValueError(f"{place} is not JSON of a few levels: it is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def read_json_object(path: Path, *, any_encoding: bool = False, unique_names: bool = False) -> dict[str, Any]:
    """Read a JSON file that holds one object; arguments and errors are those of ``read_json_file``."""
    content = read_json_file(path, any_encoding=any_encoding, unique_names=unique_names)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {json_kind(content)}, expected a JSON object")
    return content


def json_kind(content: Any) -> str:
    """Return in words what kind of value the content of a JSON file is, such as "a list"."""
    return _KINDS[type(content)]


def not_finite(content: Any, place: str = "") -> Iterator[str]:
    """Yield the places of numbers that are NaN or infinite, which Python writes into JSON and reads from it.

    Args:
        content: of a JSON file.
        place: what to call it.
    """
    if isinstance(content, float) and not math.isfinite(content):
        yield f"{place} is {content}"
    inside = (
        content.items() if isinstance(content, Mapping) else enumerate(content) if isinstance(content, list) else ()
    )
    for key, value in inside:
        yield from not_finite(value, f"{place}.{key}" if place else str(key))


def _text(path: Path, *, any_encoding: bool) -> str:
    try:
        return read_text(path) if any_encoding else read_utf8_text(path)
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error})" if any_encoding else f"{path} {error}") from error


def _with_unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"the name {name!r} occurs twice; write it once")
        content[name] = value
    return content


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"it holds a number of {len(text)} digits, expected {_MOST_DIGITS} at most")
    return int(text)
