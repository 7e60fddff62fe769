"""Pickles of arrays of bytes, such as CIFAR's, read without running what is in them.

A pickle is a program: it may import any function and call it. Here all of its instructions are looked at first, and
refused unless they only build dictionaries, lists, texts and numbers. What it then imports is not what it names:
the names of numpy's functions stand for functions of this file, which take bytes and nothing else, and there are no
others. Only texts are keys, tuples are short and flat, and instructions are counted: keys are hashed, which a deep
tuple lets fail outside of Python, and a list takes more memory than the byte that asks for it.
"""

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

# CIFAR-100's largest file has 155 MB.
LARGEST_FILE = 2**28
# CIFAR-100's has two hundred thousand, for the names of 50000 images.
MOST_INSTRUCTIONS = 10**6
# Of an array; numpy describes none with more than nine entries, nor with tuples in tuples of a tuple.
MOST_AXES, LONGEST_TUPLE = 4, 9
# Letters of a name that an error shows.
_SHOWN = 60
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
        found = _ArrayUnpickler(content).load()
    except _ForeignError as error:
        raise ValueError(
            f"{file} is no file of CIFAR: {error}; nothing in it was run; remove it, and download the archive from "
            f"where CIFAR was published"
        ) from error
    except _DAMAGED as error:
        raise ValueError(f"{file}: not a whole file of CIFAR ({error}); unpack the archive again") from error
    if not isinstance(found, dict) or not all(isinstance(name, bytes | str) for name in found):
        raise ValueError(f"{file} holds no dictionary with names, expected a file of CIFAR; unpack the archive again")
    named: Mapping[bytes | str, Any] = found
    return {
        name.decode("latin-1") if isinstance(name, bytes) else name: _plain(file, value)
        for name, value in named.items()
    }


class _ForeignError(ValueError):
    """The file is whole, as far as it was read, and asks for what CIFAR's files do not."""


def _refuse_other_instructions(content: bytes) -> None:
    """Raise at the first instruction that a file of CIFAR does not have."""
    for number, (instruction, argument, place) in enumerate(pickletools.genops(content)):
        if instruction.name not in _INSTRUCTIONS:
            raise _ForeignError(f"it has the instruction {instruction.name} at byte {place}, which could run code")
        if number >= MOST_INSTRUCTIONS:
            raise _ForeignError(f"it has more than {MOST_INSTRUCTIONS} instructions")
        # Memory is taken for as many entries as the largest number says.
        if instruction.name == "LONG_BINPUT" and (argument or 0) > number:
            raise _ForeignError(f"it remembers entry {argument} of {number} at byte {place}")


class _Refusing:
    """What a pickle may hold but not change."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> NoReturn:
        raise _ForeignError("it changes what it imports")


class _ArrayType(_Refusing):
    """Stands for ``numpy.ndarray``."""

    __slots__ = ()


class _StoredType:
    """Stands for what ``numpy.dtype`` makes; only uint8 is made."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        # Version, byte order, fields and alignment, of which a byte has none.
        if not isinstance(state, tuple) or state[1:] not in _STATES_OF_BYTES:
            raise _ForeignError("it describes a kind of numbers that is not uint8")


class _StoredArray:
    """Stands for an array that is being read; ``values`` are numpy's once all of it is there."""

    __slots__ = ("values",)

    values: npt.NDArray[np.uint8]

    def __setstate__(self, state: Any) -> None:
        _, shape, stored, in_columns, content = state
        is_shape = isinstance(shape, tuple) and len(shape) <= MOST_AXES
        if not is_shape or not all(type(size) is int and size >= 0 for size in shape):
            raise _ForeignError(f"it holds an array whose shape is not up to {MOST_AXES} sizes")
        if not isinstance(stored, _StoredType) or type(in_columns) is not bool or not isinstance(content, bytes):
            raise _ForeignError("it holds an array that is not of uint8")
        if len(content) != math.prod(shape):
            raise ValueError(f"it holds an array of shape {shape} with {len(content)} bytes")
        self.values = np.frombuffer(content, np.uint8).reshape(shape, order="F" if in_columns else "C")


class _MakeArray(_Refusing):
    """Stands for the function of numpy that begins an array."""

    __slots__ = ()

    def __call__(self, kind: Any, shape: Any, code: Any) -> _StoredArray:
        if not isinstance(kind, _ArrayType):
            raise _ForeignError("it makes an array of another type than numpy's")
        return _StoredArray()


class _MakeType(_Refusing):
    """Stands for ``numpy.dtype``."""

    __slots__ = ()

    def __call__(self, code: Any, *flags: Any) -> _StoredType:
        if code not in (b"u1", "u1"):
            # What it says may be of any length.
            told = repr(code) if isinstance(code, bytes | str) and len(code) <= LONGEST_TUPLE else type(code).__name__
            raise _ForeignError(f"it holds numbers of numpy's type {told}, expected 'u1'")
        return _StoredType()


class _Encode(_Refusing):
    """Stands for ``_codecs.encode``, with which Python 3 writes bytes for Python 2.

    Args:
        n_left: bytes that it may make, lest one text be copied again and again.
    """

    __slots__ = ("n_left",)

    def __init__(self, n_left: int) -> None:
        self.n_left = n_left

    def __call__(self, text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
            raise _ForeignError("it encodes something else than bytes")
        self.n_left -= len(text)
        if self.n_left < 0:
            raise _ForeignError("it copies its texts")
        return text.encode("latin-1")


# numpy 2 renamed its module.
_STAND_INS: Mapping[tuple[str, str], _Refusing] = {
    ("numpy.core.multiarray", "_reconstruct"): _MakeArray(),
    ("numpy._core.multiarray", "_reconstruct"): _MakeArray(),
    ("numpy", "ndarray"): _ArrayType(),
    ("numpy", "dtype"): _MakeType(),
}


def _set_item(reader: Any) -> None:
    """Check the key that is to be set, then do as Python does."""
    _require_texts(reader.stack[-2:-1])
    pickle._Unpickler.dispatch[pickle.SETITEM[0]](reader)


def _set_items(reader: Any) -> None:
    """Check the keys that are to be set, then do as Python does."""
    # Since the last mark: a key, its value, the next key.
    _require_texts(reader.stack[::2])
    pickle._Unpickler.dispatch[pickle.SETITEMS[0]](reader)


def _require_texts(keys: list[Any]) -> None:
    if not all(isinstance(key, bytes | str) for key in keys):
        raise _ForeignError("it has keys that are no texts")


def _making_a_tuple(instruction: bytes) -> Callable[[Any], None]:
    """Return what does as Python does, then checks the tuple that was made."""
    make = pickle._Unpickler.dispatch[instruction[0]]

    def step(reader: Any) -> None:
        make(reader)
        made = reader.stack[-1]
        deep = (inner for outer in made[:LONGEST_TUPLE] if isinstance(outer, tuple) for inner in outer)
        if len(made) > LONGEST_TUPLE or any(isinstance(inner, tuple) for inner in deep):
            raise _ForeignError(f"it has tuples of more than {LONGEST_TUPLE} entries, or three within each other")

    return step


class _ArrayUnpickler(pickle._Unpickler):
    """Reads a pickle with the stand-ins for all that it imports; Python's own code, whose steps are checked here.

    Args:
        content: of the file, whose instructions have been looked at.
    """

    dispatch = {  # noqa: RUF012 - as in its base
        **{
            ord(instruction.code): pickle._Unpickler.dispatch[ord(instruction.code)]
            for instruction in pickletools.opcodes
            if instruction.name in _INSTRUCTIONS
        },
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        **{made[0]: _making_a_tuple(made) for made in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)},
    }

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self.stand_ins = {**_STAND_INS, ("_codecs", "encode"): _Encode(len(content))}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return what stands for what the pickle names."""
        if (module_name, global_name) not in self.stand_ins:
            raise _ForeignError(f"it asks for {module_name[:_SHOWN]}.{global_name[:_SHOWN]}, which could run code")
        return self.stand_ins[module_name, global_name]


def _plain(file: Path, value: Any) -> Any:
    """Return a value of the dictionary, an array as numpy's."""
    if isinstance(value, _StoredArray):
        if not hasattr(value, "values"):
            raise ValueError(f"{file}: an array in it has no numbers; unpack the archive again")
        return value.values
    return value
