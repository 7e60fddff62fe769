"""What is wrong with the file of a conversion, which people may have edited, before anything is restored with it."""

import math
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from nnunet_mamba.data.formats.label_values import LARGEST_VALUE

# A larger image was never converted, and restoring it would take all memory.
MOST_POSITIONS = 2**32


def record_faults(content: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the parts of a conversion's file that restoring needs.

    Args:
        content: of the file, with all parts of a ``ConversionRecord``.

    Returns:
        One text for each fault; empty if it can be used.
    """
    options = content["options"]
    faults = option_faults(options)
    if not isinstance(options, dict):
        return faults
    sources = content["sources"]
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        return [*faults, f"sources are {sources!r:.60}, expected folders"]
    for identifier, case in content["cases"].items():
        faults += [f"case {identifier}: {fault}" for fault in _case_faults(case, n_sources=len(sources))]
    return faults


def option_faults(options: Any) -> list[str]:
    """Return what is wrong with the options of a conversion that decide what a mask is written with.

    Args:
        options: of the conversion's file.

    Returns:
        One text for each fault; empty if they can be used.
    """
    if not isinstance(options, dict):
        return [f"options are {options!r:.60}, expected an object"]
    faults = []
    threshold = options.get("threshold")
    if threshold is not None and not is_number(threshold):
        faults.append(f"threshold is {threshold!r:.60}, expected a number")
    source_labels = options.get("source_labels", {})
    if not isinstance(source_labels, dict):
        return [*faults, f"source_labels are {source_labels!r:.60}, expected values by name"]
    return faults + [
        f"source_labels: {name} is {values!r:.60}, expected whole numbers or colours such as '#ff0000'"
        for name, values in source_labels.items()
        if not are_source_values(values)
    ]


def is_number(value: Any) -> bool:
    """Return whether a value of JSON is a finite number."""
    # A whole number may be too long for floating point.
    is_finite = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return is_finite and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def are_source_values(values: Any) -> bool:
    """Return whether a value of JSON, or a list of them, is what a mask may hold: whole numbers or colours."""
    listed = values if isinstance(values, list) else [values]
    return bool(listed) and all(_is_source_value(value) for value in listed)


def _is_source_value(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) == 7 and value.startswith("#") and all(sign in "0123456789abcdefABCDEF" for sign in value[1:])
    return is_number(value) and value == int(value) and abs(value) <= LARGEST_VALUE


def _case_faults(case: Mapping[str, Any], *, n_sources: int) -> list[str]:
    found = []
    files, sizes = case["files"], case["bytes"]
    if not isinstance(files, list) or not files or not all(isinstance(name, str) for name in files):
        found.append(f"files are {files!r:.60}, expected names")
    elif not isinstance(sizes, list) or len(sizes) != len(files):
        found.append(f"bytes are {sizes!r:.60}, expected one number for each of {len(files)} files")
    folder = case.get("label_folder")
    if "label_folder" in case and not (isinstance(folder, int) and 0 <= folder < n_sources):
        found.append(f"label_folder is {folder!r:.60}, expected a number below {n_sources}, that of the sources")
    source = case.get("source")
    if not isinstance(source, dict) or "shape" not in source:
        return [*found, f"source is {source!r:.60}, expected an object with the shape of the image"]
    checks: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
        ("shape", _is_shape, "two or three sizes of an image"),
        ("orientation", lambda value: isinstance(value, int) and 2 <= value <= 8, "2 to 8"),
        ("affine", _is_affine, "four rows of four numbers"),
        ("slices", lambda value: _are_slices(value, source["shape"]), "a name for each slice"),
        ("file", _is_inside, "a file's name within its folder"),
    )
    for name, is_right, expected in checks:
        if name in source and not is_right(source[name]):
            found.append(f"{name} of its source is {source[name]!r:.60}, expected {expected}")
    return found


def _is_shape(value: Any) -> bool:
    is_shape = isinstance(value, list) and len(value) in (2, 3) and all(map(_is_count, value))
    return is_shape and math.prod(value) <= MOST_POSITIONS


def _is_affine(value: Any) -> bool:
    rows = value if isinstance(value, list) else []
    return len(rows) == 4 and all(isinstance(row, list) and len(row) == 4 and all(map(is_number, row)) for row in rows)


def _are_slices(value: Any, shape: Any) -> bool:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
        return False
    is_stack = isinstance(shape, list) and len(shape) == 3
    return len(set(value)) == len(value) and (not is_stack or len(value) == shape[0])


def _is_inside(value: Any) -> bool:
    """Return whether a name stays in the folder that it is joined to, on every system."""
    if not isinstance(value, str) or not value.strip():
        return False
    kinds = (PurePosixPath(value), PureWindowsPath(value))
    return not any(path.is_absolute() or path.drive or path.root or ".." in path.parts for path in kinds)
