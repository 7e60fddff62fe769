"""Pickles of arrays of bytes, such as CIFAR's, read without running what is in them.

A pickle is a program: it may import any function and call it. Here all of its instructions are looked at first, and
refused unless they only build dictionaries, lists, texts and numbers. What it then imports is not what it names:
the names of numpy's functions stand for functions of this file, which take bytes and nothing else, and there are no
others.
"""

import io
import math
import pickle
import pickletools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

# CIFAR-100's largest file has 155 MB.
LARGEST_FILE = 2**28
_INSTRUCTIONS = frozenset(
    {
        *("PROTO", "FRAME", "STOP", "MARK", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
        *("BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2"),
        *("SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES"),
        *("SHORT_BINUNICODE", "BINUNICODE"),
    }
)
# As Python 3 and Python 2 write them.
_STATES_OF_BYTES = tuple((order, None, None, None, -1, -1, 0) for order in ("|", b"|"))
# What reading raises on a pickle that was cut or whose parts do not fit together.
_DAMAGED = (
    *(pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, LookupError),
    *(OverflowError, MemoryError, RecursionError),
)


def read_array_pickle(file: Path) -> dict[str, Any]:
    """Return the dictionary in a pickle of Python 2 or 3.

    Args:
        file: of texts, bytes, whole numbers and arrays of uint8, in dictionaries, lists and tuples.

    Returns:
        The entries by their names; arrays are numpy's, texts of Python 2 are bytes.

    Raises:
        ValueError: it holds more than that, or is damaged; nothing in it has been run.
        OSError: unreadable.
    """
    with file.open("rb") as opened:
        content = opened.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ValueError(f"{file} is too large, expected at most {LARGEST_FILE / 2**20:.0f} MiB, as CIFAR's files are")
    try:
        _refuse_other_instructions(content)
        found = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except _DAMAGED as error:
        raise ValueError(f"{file}: not a whole file of CIFAR ({error}); unpack the archive again") from error
    if not isinstance(found, dict) or not all(isinstance(name, bytes | str) for name in found):
        raise ValueError(f"{file} holds no dictionary with names, expected a file of CIFAR; unpack the archive again")
    named: Mapping[bytes | str, Any] = found
    return {
        name.decode("latin-1") if isinstance(name, bytes) else name: _plain(file, value)
        for name, value in named.items()
    }


def _refuse_other_instructions(content: bytes) -> None:
    """Raise a ValueError at the first instruction that a file of CIFAR does not have."""
    for number, (instruction, argument, place) in enumerate(pickletools.genops(content)):
        if instruction.name not in _INSTRUCTIONS:
            raise ValueError(f"it has the instruction {instruction.name} at byte {place}, which could run code")
        # Memory is taken for as many entries as the largest number says.
        if instruction.name == "LONG_BINPUT" and (argument or 0) > number:
            raise ValueError(f"it remembers entry {argument} of {number} at byte {place}")


class _Refusing:
    """What a pickle may hold but not change."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> NoReturn:
        raise ValueError("it changes what it imports")


class _ArrayType(_Refusing):
    """Stands for ``numpy.ndarray``."""

    __slots__ = ()


class _StoredType:
    """Stands for what ``numpy.dtype`` makes; only uint8 is made."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        # Version, byte order, fields and alignment, of which a byte has none.
        if not isinstance(state, tuple) or state[1:] not in _STATES_OF_BYTES:
            raise ValueError("it describes a kind of numbers that is not uint8")


class _StoredArray:
    """Stands for an array that is being read; ``values`` are numpy's once all of it is there."""

    __slots__ = ("values",)

    values: npt.NDArray[np.uint8]

    def __setstate__(self, state: Any) -> None:
        _, shape, stored, in_columns, content = state
        is_shape = isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)
        if not is_shape or not isinstance(stored, _StoredType) or in_columns or not isinstance(content, bytes):
            raise ValueError("it holds an array that is not of uint8, row by row")
        if len(content) != math.prod(shape):
            raise ValueError(f"it holds an array of shape {shape} with {len(content)} bytes")
        self.values = np.frombuffer(content, np.uint8).reshape(shape)


class _MakeArray(_Refusing):
    """Stands for the function of numpy that begins an array."""

    __slots__ = ()

    def __call__(self, kind: Any, shape: Any, code: Any) -> _StoredArray:
        if not isinstance(kind, _ArrayType):
            raise ValueError("it makes an array of another type than numpy's")
        return _StoredArray()


class _MakeType(_Refusing):
    """Stands for ``numpy.dtype``."""

    __slots__ = ()

    def __call__(self, code: Any, *flags: Any) -> _StoredType:
        if code not in (b"u1", "u1"):
            raise ValueError(f"it holds numbers of numpy's type {code!r}, expected 'u1'")
        return _StoredType()


class _Encode(_Refusing):
    """Stands for ``_codecs.encode``, with which Python 3 writes bytes for Python 2."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
            raise ValueError("it encodes something else than bytes")
        return text.encode("latin-1")


# numpy 2 renamed its module.
_STAND_INS: Mapping[tuple[str, str], _Refusing] = {
    ("numpy.core.multiarray", "_reconstruct"): _MakeArray(),
    ("numpy._core.multiarray", "_reconstruct"): _MakeArray(),
    ("numpy", "ndarray"): _ArrayType(),
    ("numpy", "dtype"): _MakeType(),
    ("_codecs", "encode"): _Encode(),
}


class _ArrayUnpickler(pickle.Unpickler):
    """Reads a pickle with the stand-ins for all that it imports."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}, which could run code")
        return _STAND_INS[module_name, global_name]


def _plain(file: Path, value: Any) -> Any:
    """Return a value of the dictionary, an array as numpy's."""
    if isinstance(value, _StoredArray):
        if not hasattr(value, "values"):
            raise ValueError(f"{file}: an array in it has no numbers; unpack the archive again")
        return value.values
    return value
