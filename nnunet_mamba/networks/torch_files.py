"""Files of torch.save from anywhere, read without running what is in them, and written whole.

They hold tensors and plain values. ``torch.load(weights_only=True)`` builds only what torch knows to be harmless.
nnU-Net's checkpoints also hold numpy's numbers. They are built here from their bytes, since numpy's own functions trust
what a file says about types.
"""

import os
import re
import struct
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch

from nnunet_mamba.system.atomic import replacing

# What reading raises if a file was cut or overwritten, or is something else. Errors of the disk itself are OSError.
_DAMAGED = (
    *(zipfile.BadZipFile, UnpicklingError, RuntimeError, EOFError, MemoryError, OverflowError),
    *(LookupError, ValueError, TypeError, AttributeError, AssertionError, struct.error),
)
# Their texts are a byte, a number of bytes, or an entry of the zip format.
_UNTOLD = (KeyError, IndexError, EOFError, struct.error, zipfile.BadZipFile)
_FORCE, _FORCE_NOT = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
_PLACE_IN_TORCH = re.compile(r"^\[enforce fail at [^]]+\][ .]*")
_ASKED_CLASS = re.compile(r"GLOBAL (\S+)")
# Numbers and texts: their values are their bytes. Objects would be addresses.
_PLAIN_TYPE = re.compile(r"[<>|=]?[biufcSU][1-9][0-9]{0,8}")
_forcing = threading.RLock()


class DamagedFileError(ValueError):
    """A file is not as torch.save writes it; the text says why, without the file's name."""


class CodeInFileError(ValueError):
    """A file asks for more than tensors and plain values; the text names what. Reading it could run code."""


class _StoredType:
    """Stands for ``numpy.dtype`` while a file is read; takes only kind, size and byte order from the file."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        # numpy parses more than such codes, and parts of a damaged one as Python.
        if not isinstance(code, str) or not _PLAIN_TYPE.fullmatch(code):
            raise ValueError(f"it holds a value of numpy's type {code!r}, expected a number")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


def _stored_number(stored: _StoredType, content: bytes) -> Any:
    """Return a number of numpy's; stands for ``numpy.core.multiarray.scalar``."""
    if not isinstance(stored, _StoredType) or not isinstance(content, bytes) or len(content) != stored.dtype.itemsize:
        raise ValueError("it holds a number of numpy's with too few or too many bytes")
    try:
        return np.frombuffer(content, stored.dtype)[0].astype(stored.dtype.newbyteorder("="))
    # This is how Python refuses a text of characters that do not exist.
    except SystemError as error:
        raise ValueError("it holds a text of numpy's with characters that do not exist") from error


# numpy 2 renamed its module; both read both.
_NUMPY_CLASSES: list[Any] = [
    (_StoredType, "numpy.dtype"),
    (_stored_number, "numpy.core.multiarray.scalar"),
    (_stored_number, "numpy._core.multiarray.scalar"),
]


@contextmanager
def no_code_from_files() -> Iterator[None]:
    """Let every ``torch.load`` in the block, also in nnU-Net's own code, read only tensors and plain values."""
    with _forcing, torch.serialization.safe_globals(_NUMPY_CLASSES):
        before = {name: os.environ.pop(name, None) for name in (_FORCE, _FORCE_NOT)}
        os.environ[_FORCE] = "1"
        try:
            yield
        finally:
            os.environ.pop(_FORCE, None)
            os.environ.update({name: value for name, value in before.items() if value is not None})


def read_torch_file(file: Path, *, verify: bool = False) -> Any:
    """Return what was given to torch.save, its tensors on the CPU.

    Args:
        file: what torch.save, or something like it, has written.
        verify: compare it with its checksums, which takes reading all of it. The format before torch 1.6 has none.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: the disk does not give it.
        CodeInFileError: it asks for more than tensors, plain values and numpy's numbers.
        DamagedFileError: it was cut or overwritten, or torch.save did not write it.
    """
    with _damage_told(file):
        is_zip = _is_zip(file)
        if is_zip:
            _verify(file, checksums=verify)
        try:
            # Mapped, the weights stay on the disk until they are wanted, and none of them reaches past the file's end;
            # torch maps only zip files.
            with no_code_from_files():
                return torch.load(file, map_location="cpu", weights_only=True, mmap=is_zip)
        except UnpicklingError as error:
            if asked := _ASKED_CLASS.search(str(error)):
                raise CodeInFileError(", ".join(_foreign_classes(file)) or asked[1]) from error
            raise


def write_torch_file(content: Any, path: Path) -> None:
    """Write a file of torch.save, whole or not at all.

    Args:
        content: tensors and plain values.
        path: the file to create or replace.

    Raises:
        OSError: the file cannot be written.
    """
    with replacing(path) as temporary:
        try:
            torch.save(content, temporary)
        # The C++ parts of torch.save raise this when the disk is full or the folder is gone.
        except RuntimeError as error:
            raise OSError(f"{path} cannot be written; make room or choose another `output` ({error})") from error


def verify_checksums(file: Path) -> None:
    """Compare a file with the checksums that torch.save writes and torch.load ignores.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: the disk does not give it.
        DamagedFileError: a checksum does not fit, or the file has none.
    """
    with _damage_told(file):
        _verify(file, checksums=True)


@contextmanager
def _damage_told(file: Path) -> Iterator[None]:
    """Refuse what is no file or empty, and tell what is raised in the block in words."""
    if file.exists() and not file.is_file():
        raise DamagedFileError("it is a folder or a device, expected a file")
    if file.stat().st_size == 0:
        raise DamagedFileError("it is empty")
    try:
        yield
    except CodeInFileError:
        raise
    except _DAMAGED as error:
        raise DamagedFileError(_reason(error)) from error


def _is_zip(file: Path) -> bool:
    """Return whether torch takes it for a zip file, as torch.save writes since 1.6: Python looks at the end instead."""
    with file.open("rb") as content:
        return content.read(4) == b"PK\3\4"


def _verify(file: Path, *, checksums: bool) -> None:
    """Raise if the file would grow when it is read, since torch.save never compresses, or if a checksum differs."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("its parts are compressed, which torch.save does not do")
        if (claimed := sum(member.file_size for member in members)) > (held := file.stat().st_size):
            raise ValueError(f"its parts claim {claimed} bytes, and the file has {held}")
        # torch.serialization.set_crc32_options(False) leaves zeros in their place.
        has_checksums = any(member.CRC for member in members)
        if checksums and has_checksums and (different := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {different} does not fit")


def _foreign_classes(file: Path) -> list[str]:
    """Return all that a file asks for beside tensors, plain values and numpy's numbers; empty if that is not told."""
    try:
        with no_code_from_files():
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file))
    # Only files of the new format tell it.
    except (*_DAMAGED, OSError):
        return []


def _reason(error: BaseException) -> str:
    if isinstance(error, _UNTOLD):
        return "it ends too early, or torch.save did not write it"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # torch puts a paragraph of advice before the cause.
    cause = next((line for line in lines if "Error:" in line), lines[0] if lines else type(error).__name__)
    cause = _PLACE_IN_TORCH.sub("", cause)
    # What follows its first sentence is advice, such as to read the file with all the code in it.
    cause = (cause.partition("Error: ")[2] or cause).partition(". ")[0].rstrip(".")
    return "torch.save did not write it" if cause == "Weights only load failed" else cause
