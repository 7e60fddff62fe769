"""JSON files of nnU-Net and of this package, read with an error that tells the file and the place."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def read_json_file(path: Path) -> Any:
    """Read a JSON file.

    Args:
        path: of the file, UTF-8 without a mark of byte order, as nnU-Net reads it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is something else; says what.
    """
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{path} is UTF-16 text, which nnU-Net cannot read; save it as UTF-8")
    if content.startswith(b"\xef\xbb\xbf"):
        raise ValueError(f"{path} begins with a byte order mark, which nnU-Net cannot read; save it without")
    try:
        return json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start}: {error.reason}); save it so") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); is it complete?") from error
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply; expected a file of nnU-Net's") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object; the errors are those of ``read_json_file``."""
    content = read_json_file(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {_kind(content)}, expected a JSON object")
    return content


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


def _kind(content: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return "nothing (null)" if content is None else names[type(content)]
