"""Checkpoints of nnU-Net, read without running what is in them: tensors, plain values and numpy's numbers.

``torch.load(weights_only=True)`` builds only what torch knows to be harmless. nnU-Net's checkpoints also hold numpy's
numbers. They are built here from their bytes, since numpy's own functions trust what a file says about types.
"""

import os
import re
import struct
import threading
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch

from nnunet_mamba.networks.damaged_files import DAMAGED
from nnunet_mamba.training.checkpoints.entries import problem_of_entries

# What nnU-Net writes and needs again to continue a training.
RESUMED = ("network_weights", "optimizer_state", "logging", "_best_ema", "current_epoch", "init_args")
_FORCE, _FORCE_NOT = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
_ASKED_CLASS = re.compile(r"GLOBAL (\S+)")
# Numbers and texts: their values are their bytes. Objects would be addresses.
_PLAIN_TYPE = re.compile(r"[<>|=]?[biufcSU][1-9][0-9]{0,8}")
_forcing = threading.RLock()


class CodeInCheckpointError(ValueError):
    """A checkpoint asks for more than tensors and plain values; reading that could run code."""


class _StoredType:
    """Stands for ``numpy.dtype`` while a checkpoint is read; takes only kind, size and byte order from the file."""

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


def read_checkpoint(path: Path, *, entries: Collection[str] = ()) -> dict[str, Any]:
    """Return what is in a checkpoint, its tensors on the CPU.

    Args:
        path: of a file that nnU-Net, or something like it, has written.
        entries: names that it must have.

    Raises:
        FileNotFoundError: there is no such file.
        CodeInCheckpointError: it asks for more than tensors, plain values and numpy's numbers; names the class.
        ValueError: the file is damaged, holds something else, lacks an entry, or an entry has no sensible value.
    """
    try:
        stored = _load(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error})") from error
    except DAMAGED as error:
        if isinstance(error, UnpicklingError) and (asked := _ASKED_CLASS.search(str(error))):
            raise CodeInCheckpointError(
                f"{path} asks for {asked[1]}, which nnU-Net's checkpoints do not hold. Reading it could run code that "
                "is hidden in the file, so it is not read. Take a checkpoint as nnU-Net wrote it. If you trust where "
                "this one comes from, load it yourself with torch.load(…, weights_only=False), take out what is of "
                "that class, and torch.save the rest"
            ) from None
        raise ValueError(f"{path} cannot be read; is the file whole? ({_reason(error)})") from error
    if not isinstance(stored, dict):
        raise ValueError(f"{path} is not a checkpoint of nnU-Net: it holds a {type(stored).__name__}")
    if missing := [name for name in entries if name not in stored]:
        raise ValueError(
            f"{path} is not a checkpoint of nnU-Net: it has no entry {' and no '.join(map(repr, missing))}"
        )
    if (problem := problem_of_entries(stored)) is not None:
        raise ValueError(f"{path} {problem}")
    return stored


def _load(path: Path) -> Any:
    if path.exists() and not path.is_file():
        raise ValueError("it is a folder or a device, expected a file")
    if path.stat().st_size == 0:
        raise ValueError("it is empty")
    is_zip = zipfile.is_zipfile(path)
    if is_zip:
        with zipfile.ZipFile(path) as archive:
            _refuse_inflated(archive, path.stat().st_size)
    # Mapped, the weights stay on the disk until they are wanted; torch maps only zip files.
    with no_code_from_files():
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)


def _refuse_inflated(archive: zipfile.ZipFile, file_size: int) -> None:
    """Raise if the file would grow when it is read: torch.save never compresses."""
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("its parts are compressed, which torch.save does not do")
    if (claimed := sum(member.file_size for member in members)) > file_size:
        raise ValueError(f"its parts claim {claimed} bytes, and the file has {file_size}")


def check_whole(path: Path) -> None:
    """Compare a checkpoint with the checksums that torch.save writes and torch.load ignores.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_inflated(archive, path.stat().st_size)
            if (member := archive.testzip()) is not None:
                raise ValueError(f"the checksum of {member} does not fit")
    except FileNotFoundError:
        raise
    except (*DAMAGED, OSError) as error:
        raise ValueError(f"{path} cannot be read; is the file whole? ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyError | IndexError | EOFError | struct.error):
        # Their texts are a byte, or a number of bytes.
        return "it ends too early, or torch.save did not write it"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # torch puts a paragraph of advice before the cause.
    cause = next((line for line in lines if "Error:" in line), lines[0] if lines else type(error).__name__)
    # What follows its first sentence is advice, such as to read the file with all the code in it.
    cause = (cause.partition("Error: ")[2] or cause).partition(". ")[0].rstrip(".")
    return "torch.save did not write it" if cause == "Weights only load failed" else cause
