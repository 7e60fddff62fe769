"""What blocks and networks ask of their arguments: whole numbers that are numbers, flags that are flags."""

from collections.abc import Collection, Mapping, Sequence
from operator import index
from typing import Any


def is_whole(value: Any) -> bool:
    """Return whether ``value`` is a whole number; True and False are not."""
    if isinstance(value, bool):
        return False
    try:
        index(value)
    except TypeError:
        return False
    return True


def is_text(value: Any) -> bool:
    """Return whether ``value`` is a string, which Python takes for a sequence as well."""
    return isinstance(value, (str, bytes))


def require_whole(owner: str, **sizes: Any) -> None:
    """Raise a ValueError that names the first of the ``sizes`` that is no whole number of at least 1.

    Args:
        owner: the block or network, named in the error.
        sizes: by the argument's name.
    """
    for name, size in sizes.items():
        if not is_whole(size) or size < 1:
            raise ValueError(f"{owner}: {name}={size!r}, expected a positive integer; pass {name} >= 1")


def require_flags(owner: str, **flags: Any) -> None:
    """Raise a ValueError that names the first of the ``flags`` that is neither True nor False."""
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise ValueError(f"{owner}: {name}={flag!r}, expected True or False; pass one of them")


def require_sequence(owner: str, name: str, value: Any, *, of: str) -> None:
    """Raise a ValueError if ``value`` is no list or tuple.

    Args:
        owner: the block or network, named in the error.
        name: of the argument.
        value: what was passed.
        of: what its entries are, such as "channel numbers".
    """
    if not isinstance(value, Sequence) or is_text(value):
        raise ValueError(f"{owner}: {name}={value!r}, expected a sequence of {of}; pass a list or tuple")


def require_numbers(owner: str, name: str, values: Any, *, of: str, count: int) -> None:
    """Raise a ValueError if ``values`` are not as many whole numbers of at least 1 as asked for.

    Args:
        owner: the block or network, named in the error.
        name: of the argument.
        values: what was passed.
        of: what the entries are, such as "channel numbers".
        count: of the entries.
    """
    require_sequence(owner, name, values, of=of)
    if len(values) != count or not all(is_whole(value) and value >= 1 for value in values):
        raise ValueError(f"{owner}: {name}={tuple(values)}, expected {count} {of} of at least 1; pass as many")


def require_probability(owner: str, name: str, value: Any) -> None:
    """Raise a ValueError if ``value`` is no number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ValueError(f"{owner}: {name}={value!r}, expected a probability in [0, 1); VM-UNet's is 0 to 0.2")


def require_spatial_dims(owner: str, spatial_dims: Any) -> None:
    """Raise a ValueError if ``spatial_dims`` is neither 2 nor 3."""
    if not is_whole(spatial_dims) or spatial_dims not in (2, 3):
        raise ValueError(f"{owner}: spatial_dims={spatial_dims!r}, expected 2 or 3; pass one of them")


def named_axes(
    arguments: Mapping[str, Any], *, per_axis: Collection[str] = (), per_stage_and_axis: Collection[str] = ()
) -> int | None:
    """Return the number of image axes that arguments name by their lengths: 3 if one of them has three entries.

    Otherwise 2 if one has two entries, and None if none has as many entries as images have axes.

    Args:
        arguments: of a network, not checked yet.
        per_axis: names of those with one entry per axis.
        per_stage_and_axis: names of those with one entry per stage, which may be one number per axis.
    """
    values = [arguments.get(name) for name in per_axis]
    for name in per_stage_and_axis:
        stages = arguments.get(name)
        values += stages if isinstance(stages, (list, tuple)) else ()
    lengths = {len(value) for value in values if isinstance(value, (list, tuple))}
    return next((axes for axes in (3, 2) if axes in lengths), None)
