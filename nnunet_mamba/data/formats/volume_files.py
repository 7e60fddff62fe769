"""Read volumes of the formats that SimpleITK knows besides NIfTI: MetaImage, NRRD, pairs of a header and voxels."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnunet_mamba.data.formats.declared_sizes import packing_problem, size_problem
from nnunet_mamba.data.formats.file_endings import ITK_ENDINGS
from nnunet_mamba.data.formats.nifti_files import RAS_OF_LPS, Volume, VolumeError, read_nifti

if TYPE_CHECKING:
    import SimpleITK

_READERS = {
    **dict.fromkeys((".mha", ".mhd"), "MetaImageIO"),
    **dict.fromkeys((".nrrd", ".nhdr"), "NrrdImageIO"),
    ".hdr": "NiftiImageIO",
}
_HEADERS_OF_TEXT = (".mha", ".mhd", ".nrrd", ".nhdr")
_WITH_VOXELS = (".mha", ".nrrd")
_FIRST_LINES = 64 * 1024
# In lower case: the keys under which headers name the file of their voxels.
_DATA_KEYS = ("elementdatafile", "data file", "datafile")


def read_volume(path: Path) -> Volume:
    """Read a volume of any format, in the coordinates of NIfTI.

    Args:
        path: one of VOLUME_ENDINGS.

    Raises:
        VolumeError: damaged, not three-dimensional, not one number per voxel, or with a place that is not certain.
    """
    if path.name.lower().endswith(ITK_ENDINGS):
        return _read_itk(path)
    return read_nifti(path)


def spacing_of(path: Path) -> tuple[float, float, float]:
    """Return the spacing, mm along (z, y, x), that SimpleITK, nnU-Net's reader, finds in a file.

    Args:
        path: of a volume that ``read_volume`` reads.

    Raises:
        VolumeError: SimpleITK cannot read its header.
    """
    reader = _reader_of(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(error) from error
    x, y, z = map(abs, reader.GetSpacing())
    return z, y, x


def _reader_of(path: Path) -> "SimpleITK.ImageFileReader":
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    # SimpleITK finds a reader for endings in small letters only.
    reader.SetImageIO(_READERS.get(path.suffix.lower(), "NiftiImageIO"))
    return reader


def _unreadable(error: Exception) -> VolumeError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return VolumeError(f"SimpleITK cannot read it: {reason}; copy it again, or save it as .nii.gz")


def _read_itk(path: Path) -> Volume:
    import SimpleITK

    _refuse_before_reading(path)
    reader = _reader_of(path)
    try:
        reader.ReadImageInformation()
        size = reader.GetSize()
        if len(size) != 3 or min(size) < 1 or reader.GetNumberOfComponents() != 1:
            parts = f" with {reader.GetNumberOfComponents()} values each" if reader.GetNumberOfComponents() != 1 else ""
            raise VolumeError(
                f"shape {'x'.join(map(str, size))}{parts}, expected one volume of three dimensions with one number each"
            )
        n_bytes = math.prod(size) * _bytes_per_voxel(reader.GetPixelID())
        # Other headers have their voxels in files of any name.
        is_one_file = path.suffix.lower() in _WITH_VOXELS
        if is_one_file and (problem := packing_problem(n_bytes, path.stat().st_size)):
            raise VolumeError(problem)
        if problem := size_problem(n_bytes):
            raise VolumeError(problem)
        image = reader.Execute()
    except (RuntimeError, MemoryError) as error:
        raise _unreadable(error) from error
    voxels = SimpleITK.GetArrayFromImage(image)
    if voxels.dtype.kind not in "iuf":
        raise VolumeError(f"voxels of type {voxels.dtype}, expected one number each")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    affine = RAS_OF_LPS @ affine
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine) < 4:
        raise VolumeError("the header's place cannot be inverted; convert the volume from its source again")
    return Volume(voxels, affine)


def _bytes_per_voxel(pixel_id: int) -> int:
    import SimpleITK

    names = SimpleITK.GetPixelIDValueAsString(pixel_id)
    bits = "".join(character for character in names if character.isdigit())
    # Such as "32-bit float"; the caller refuses what is no number.
    return int(bits) // 8 if bits else 1


def _refuse_before_reading(path: Path) -> None:
    """Raise for what SimpleITK would accept silently."""
    try:
        if path.stat().st_size == 0:
            raise VolumeError("the file is empty (0 bytes); copy or download it again")
        with path.open("rb") as file:
            head = file.read(_FIRST_LINES)
    except OSError as error:
        raise VolumeError(f"unreadable: {error.strerror or error}") from error
    if path.suffix.lower() in _HEADERS_OF_TEXT:
        _refuse_other_folders(head)
    elif head[344:347] != b"ni1":
        raise VolumeError(
            "an Analyze header, which tells no place and not where left is; convert the volume from its source "
            "to .nii.gz"
        )


def _refuse_other_folders(head: bytes) -> None:
    """Raise if the voxels of a header do not lie beside it."""
    for line in head.partition(b"\n\n")[0].splitlines():
        key, separator, value = line.decode("latin-1").partition("=" if b"=" in line else ":")
        if separator and key.strip().lower() in _DATA_KEYS:
            name = value.strip().strip('"')
            if name.startswith(("/", "\\", "~")) or ".." in name.replace("\\", "/").split("/") or name[1:2] == ":":
                raise VolumeError(f"its voxels are in {name}, expected them beside the header; copy them there")
