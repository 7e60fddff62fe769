"""Check the JSON that describes how images are read, before anything is built of it: it may come from anywhere."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nnunet_mamba.data.converters.lgg_slices import LARGEST_SPACING, Spacing
from nnunet_mamba.data.formats.dataset_json import LARGEST_LABEL
from nnunet_mamba.data.formats.label_values import SourceValue
from nnunet_mamba.data.formats.picture_sizes import parse_size
from nnunet_mamba.data.problems import same_name
from nnunet_mamba.data.restoring.record_faults import are_source_values, is_number

_REQUIRED = ("kind", "channel_names", "labels")
# More would be no image.
_MOST_CHANNELS = 1024


def checked_entries(content: Any, *, place: str, kinds: Sequence[str]) -> dict[str, Any]:
    """Return the entries of an ``ImageConversion``, in the types that it has.

    Args:
        content: of JSON.
        place: what to call it in the text of an error.
        kinds: what "kind" may be.

    Returns:
        Arguments of the class; "kind" as a text. An entry that is not there is not in it.

    Raises:
        ValueError: an entry is missing, unknown, or not what it should be; the text names it.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"{place} is {_shown(content)}, expected an object")
    if missing := [name for name in _REQUIRED if name not in content]:
        raise ValueError(f"{place} has no {missing[0]!r}, expected {', '.join(_REQUIRED)}")
    if unknown := [name for name in content if name not in ("kind", *_CHECKS)]:
        raise ValueError(
            f"{place} has the entry {_shown(unknown[0])}, which is not known; install a newer nnunet-mamba"
        )
    if content["kind"] not in kinds:
        raise ValueError(f"{place}.kind is {_shown(content['kind'])}, expected one of {', '.join(kinds)}")
    entries = {"kind": content["kind"]}
    for name in content.keys() - {"kind"}:
        is_right, expected, convert = _CHECKS[name]
        if not is_right(content[name]):
            raise ValueError(f"{place}.{name} is {_shown(content[name])}, expected {expected}")
        entries[name] = convert(content[name])
    return entries


def whole_values(listed: Sequence[Any]) -> tuple[SourceValue, ...]:
    """Return values of a mask as whole numbers and colours; JSON may have numbers with a decimal point.

    Args:
        listed: that ``are_source_values`` found right.
    """
    return tuple(value if isinstance(value, str) else int(value) for value in listed)


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=repr)
    except (ValueError, TypeError, RecursionError):
        text = repr(type(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def _are_names(value: Any) -> bool:
    is_list = isinstance(value, list) and 0 < len(value) <= _MOST_CHANNELS
    return is_list and all(isinstance(name, str) and name.strip() for name in value)


def _are_tokens(value: Any) -> bool:
    if value == []:
        return True
    if not _are_names(value) or any("/" in token or "\\" in token for token in value):
        return False
    return len({same_name(token) for token in value}) == len(value)


def _are_labels(value: Any) -> bool:
    if not isinstance(value, dict) or not all(isinstance(name, str) and name.strip() for name in value):
        return False
    return all(
        isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= LARGEST_LABEL
        for number in value.values()
    )


def _are_values_by_name(value: Any) -> bool:
    is_object = isinstance(value, dict) and all(isinstance(name, str) for name in value)
    return is_object and all(isinstance(listed, list) and are_source_values(listed) for listed in value.values())


def _is_size(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parse_size(value)
    except ValueError:
        return False
    return True


def _is_spacing(value: Any) -> bool:
    if value is None:
        return True
    is_list = isinstance(value, list) and len(value) == 3
    return is_list and all(is_number(one) and 0 < one <= LARGEST_SPACING for one in value)


def _spacing(value: Any) -> Spacing | None:
    if value is None:
        return None
    z, y, x = map(float, value)
    return z, y, x


# Per entry: whether a value is right, what is expected, and what it becomes.
_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str, Callable[[Any], Any]]] = {
    "channel_names": (_are_names, "a list of names", tuple),
    "channel_tokens": (_are_tokens, "a list of different texts without slashes", tuple),
    "labels": (_are_labels, f"whole numbers by name, 0 to {LARGEST_LABEL}", dict),
    "source_labels": (
        _are_values_by_name,
        "lists of whole numbers, or of colours such as '#ff0000', by name",
        lambda value: {name: whole_values(listed) for name, listed in value.items()},
    ),
    "size": (_is_size, "'original', or HEIGHTxWIDTH such as '256x256'", parse_size),
    "threshold": (lambda value: value is None or is_number(value), "a number or null", lambda value: value),
    "spacing": (_is_spacing, f"three lengths in mm, {LARGEST_SPACING:g} at most, or null", _spacing),
    "is_by_hand": (lambda value: isinstance(value, bool), "true or false", bool),
}
