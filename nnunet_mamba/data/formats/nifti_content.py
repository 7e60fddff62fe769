"""The content of a NIfTI-1 file: check the header before taking memory for what it promises."""

import gzip
import math
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.formats.declared_sizes import in_words, packing_problem, size_problem

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

HEADER = 348  # bytes, the first number in a file
NIFTI2_HEADER = 540
# The data of a single file begin here at the earliest: four bytes tell of extensions.
FIRST_DATA = 352
# Bytes that may follow the last voxel.
LARGEST_REST = 2**20

_GZIP = b"\x1f\x8b"
_AT_ONCE = 2**24


class NiftiContentError(ValueError):
    """A file is no NIfTI-1 volume, or says what cannot be true; the text does not name it."""


def read_content(path: Path) -> "tuple[Nifti1Header, npt.NDArray[Any]]":
    """Return the header of a file and its voxels, scaled as the header says.

    Args:
        path: .nii, or .nii.gz, whose checksum is compared.

    Returns:
        The header, and (x, y, z) voxels in their own type unless the header scales them.

    Raises:
        NiftiContentError: no NIfTI-1, not three-dimensional, or a size that is not that of the file.
        OSError, EOFError, ValueError, zlib.error: damaged.
        MemoryError: there is less than it seemed.
    """
    import nibabel

    size = path.stat().st_size
    if size == 0:
        raise NiftiContentError("the file is empty (0 bytes); copy or download it again")
    is_packed = path.suffix.lower() == ".gz"
    if is_packed:
        _refuse_unpacked(path)
    with _opened(path, is_packed=is_packed) as opened:
        head = opened.read(FIRST_DATA)
        _refuse_other_formats(head, is_packed=is_packed)
        raw = nibabel.Nifti1Header(head[:HEADER], check=False)
        n_bytes = _declared_bytes(raw)
        if problem := packing_problem(n_bytes, size) if is_packed else _length_problem(n_bytes, size):
            raise NiftiContentError(problem)
        if problem := size_problem(n_bytes):
            raise NiftiContentError(problem)
        header = nibabel.Nifti1Header(head[:HEADER])
        content = bytearray(n_bytes)
        content[: len(head)] = head[:n_bytes]
        _fill(opened, content, start=len(head))
        if is_packed:
            _skip_rest(opened, n_bytes)
    return header, _voxels(header, content)


def _opened(path: Path, *, is_packed: bool) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if is_packed else path.open("rb")


def _refuse_unpacked(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(FIRST_DATA)
    if not start.startswith(_GZIP) and HEADER in (int.from_bytes(start[:4], order) for order in ("little", "big")):
        raise NiftiContentError("not packed with gzip; let its name end with .nii")


def _refuse_other_formats(head: bytes, *, is_packed: bool) -> None:
    if head.startswith(_GZIP):
        text = (
            "packed twice with gzip; unpack it once" if is_packed else "packed with gzip; let its name end with .nii.gz"
        )
        raise NiftiContentError(text)
    if NIFTI2_HEADER in (int.from_bytes(head[:4], order) for order in ("little", "big")):
        raise NiftiContentError("NIfTI-2, which SimpleITK, nnU-Net's reader, does not know; save it as NIfTI-1")
    if len(head) < FIRST_DATA:
        raise NiftiContentError(f"{len(head)} bytes, fewer than a NIfTI header has; copy or download it again")
    n_axes = [int.from_bytes(head[40:42], order) for order in ("little", "big")]
    if not any(1 <= number <= 7 for number in n_axes):
        raise NiftiContentError(
            f"the header says that it has {min(n_axes)} dimensions, expected 3; copy or download it again"
        )
    if head[344:348] == b"ni1\0":
        raise NiftiContentError(
            "the header of a pair of files, expected the voxels in the same file; save it as .nii.gz"
        )


def _declared_bytes(header: "Nifti1Header") -> int:
    """Return how long the header says that the file is."""
    shape = header.get_data_shape()
    listed = "x".join(map(str, shape))
    if len(shape) != 3:
        raise NiftiContentError(f"shape {listed}, expected one volume of three dimensions")
    if min(shape) < 1:
        raise NiftiContentError(f"shape {listed}, expected at least one voxel along every axis; save it again")
    offset = float(header["vox_offset"])
    if not math.isfinite(offset) or offset < FIRST_DATA:
        raise NiftiContentError(f"the header says that voxels begin at byte {offset:g}, expected {FIRST_DATA} or more")
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    # NaN and 0 stand for no scale.
    if math.isinf(slope) or (slope and not math.isnan(slope) and not math.isfinite(intercept)):
        raise NiftiContentError(
            f"the header multiplies the voxels by {slope:g} and adds {intercept:g}, expected numbers; save it again"
        )
    try:
        n_bytes_each = int(header.get_data_dtype().itemsize)
    except KeyError as error:
        raise NiftiContentError(f"voxels of type {error}, which NIfTI has not; copy or download it again") from error
    return int(offset) + math.prod(map(int, shape)) * n_bytes_each


def _length_problem(n_bytes: int, size: int) -> str:
    if n_bytes <= size:
        return ""
    return (
        f"the header speaks of {in_words(n_bytes)}, the file has {in_words(size)}; its end is missing, copy or "
        "download it again"
    )


def _fill(file: IO[bytes], content: bytearray, *, start: int) -> None:
    """Read until ``content`` is full."""
    place = start
    while place < len(content):
        part = file.read(min(_AT_ONCE, len(content) - place))
        if not part:
            raise NiftiContentError(
                f"the header speaks of {in_words(len(content))}, the file holds {in_words(place)}; its end is missing, "
                "copy or download it again"
            )
        content[place : place + len(part)] = part
        place += len(part)


def _skip_rest(file: IO[bytes], n_bytes: int) -> None:
    """Read to the end, where the checksum is."""
    n_more = 0
    while part := file.read(_AT_ONCE):
        n_more += len(part)
        if n_more > LARGEST_REST:
            raise NiftiContentError(
                f"it unpacks to more than the {in_words(n_bytes)} that its header speaks of; the header is wrong, or "
                "the file is made to fill the memory"
            )


def _voxels(header: "Nifti1Header", content: bytearray) -> npt.NDArray[Any]:
    import io

    from nibabel.arrayproxy import ArrayProxy

    shape, dtype, offset = header.get_data_shape(), header.get_data_dtype(), header.get_data_offset()
    slope, intercept = header.get_slope_inter()
    if slope in (None, 1) and intercept in (None, 0):
        return np.asarray(np.ndarray(shape, dtype, buffer=content, offset=offset, order="F"))
    scaled = ArrayProxy(io.BytesIO(content), (shape, dtype, offset, slope, intercept))
    return np.asanyarray(scaled)
