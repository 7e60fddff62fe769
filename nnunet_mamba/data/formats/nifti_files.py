"""Read NIfTI volumes exactly, turn one onto the grid of another, and write them."""

import gzip
import itertools
import struct
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.formats.nifti_content import NiftiContentError, read_content

# Headers hold rounded numbers; positions within a tenth of a voxel are the same.
TOLERANCE = 0.1
# Noise does not compress: level 6 takes more than four times as long for two per cent.
COMPRESSION_LEVEL = 1

# From ITK's directions (left, posterior, superior) to those of NIfTI.
RAS_OF_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class VolumeError(ValueError):
    """A volume is damaged, or its voxels have no certain meaning or place; the text does not name the file."""


@dataclass(frozen=True)
class Volume:
    """Voxels, and where they are.

    Args:
        voxels: (z, y, x).
        affine: (4, 4), leads from an index (x, y, z) to a position in mm: right, anterior, superior.
    """

    voxels: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]

    @property
    def size(self) -> npt.NDArray[np.int64]:
        """Voxels along (x, y, z)."""
        return np.array(self.voxels.shape[::-1])

    @property
    def spacing(self) -> npt.NDArray[np.float64]:
        """Mm per voxel along (x, y, z)."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))


def read_nifti(path: Path) -> Volume:
    """Read a volume with the values that are stored, in their own type unless the header scales them.

    Args:
        path: .nii, or .nii.gz, whose checksum is compared.

    Raises:
        VolumeError: damaged, not three-dimensional, not numbers, or with a place that is not certain.
    """
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    damages = (
        OSError,
        EOFError,
        ValueError,
        OverflowError,
        zlib.error,
        struct.error,
        ImageFileError,
        HeaderDataError,
        WrapStructError,
    )
    try:
        header, stored = read_content(path)
        affine = np.array(header.get_best_affine(), dtype=np.float64)
    except NiftiContentError as error:
        raise VolumeError(str(error)) from error
    except MemoryError as error:
        raise VolumeError("larger than the memory that is left; convert it on a larger machine") from error
    except damages as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise VolumeError(f"unreadable: {reason}; copy or download it again") from error
    if stored.dtype.kind not in "iuf":
        raise VolumeError(f"voxels of type {stored.dtype}, expected one number each")
    volume = Volume(stored.T, affine)
    _check_place(volume, path)
    return volume


def _check_place(volume: Volume, path: Path) -> None:
    """Raise if the header gives no place, or another one to SimpleITK, with which nnU-Net reads.

    NIfTI has room for two affines: the sform counts where there is one, else the qform.
    """
    import SimpleITK

    if not np.isfinite(volume.affine).all() or np.linalg.matrix_rank(volume.affine) < 4:
        raise VolumeError("the header's affine cannot be inverted; convert the volume from its source again")
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise VolumeError(f"SimpleITK, nnU-Net's reader, refuses it: {reason}; save it again") from error
    other = np.eye(4)
    other[:3, :3] = np.reshape(reader.GetDirection(), (3, 3)) * reader.GetSpacing()
    other[:3, 3] = reader.GetOrigin()
    corners = _corners(volume.size)
    distance = np.abs(_moved(corners, RAS_OF_LPS @ other) - _moved(corners, volume.affine)).max()
    if distance > TOLERANCE * volume.spacing.min():
        raise VolumeError(
            f"readers differ about its place by up to {distance:.3g} mm: the header has neither sform nor qform, two "
            "that differ, or units other than mm; save it again with one affine for both"
        )


def turned_onto(volume: Volume, grid: Volume) -> npt.NDArray[Any]:
    """Return the voxels of ``volume`` in the order of ``grid``: exchange axes and turn them round, no more.

    Args:
        volume: its voxels lie where those of ``grid`` do.
        grid: whose size and affine count.

    Returns:
        (z, y, x) of ``grid``, a view.

    Raises:
        VolumeError: they lie elsewhere; interpolation would change them.
    """
    to_grid = np.linalg.inv(grid.affine) @ volume.affine
    way_out = _way_out(volume, grid)
    corners = _corners(volume.size)
    found = _moved(corners, to_grid)
    if ((found.max(axis=0) < -0.5) | (found.min(axis=0) > grid.size - 0.5)).any():
        raise VolumeError(
            "does not overlap its image in space, expected the same place; is it of another image?"
            + (f" If not: {way_out}" if (volume.size == grid.size).all() else "")
        )
    axes = np.abs(to_grid[:3, :3]).argmax(axis=1)
    if sorted(axes) != [0, 1, 2]:
        raise VolumeError(f"is rotated against its image, expected the same grid; {way_out}")
    spacing, size = volume.spacing[axes], volume.size[axes]
    if (np.abs(spacing - grid.spacing) * grid.size > TOLERANCE * grid.spacing).any():
        raise VolumeError(
            f"spacing {_listed(spacing)} mm, its image {_listed(grid.spacing)} mm (x, y, z), expected the same; "
            f"{way_out}"
        )
    if (size != grid.size).any():
        raise VolumeError(
            f"{_listed(size)} voxels, its image {_listed(grid.size)} (x, y, z), expected the same; is it of another "
            "image?"
        )
    is_reversed = to_grid[range(3), axes] < 0
    expected = np.where(is_reversed, grid.size - 1 - corners[:, axes], corners[:, axes])
    distance = np.abs(found - expected).max()
    if distance > TOLERANCE:
        raise VolumeError(
            f"lies up to {distance:.3g} voxels beside its image or is rotated, expected the same grid; {way_out}"
        )
    turned = np.flip(volume.voxels.T.transpose(axes), axis=tuple(np.flatnonzero(is_reversed)))
    return np.asarray(turned.T)


def _way_out(volume: Volume, grid: Volume) -> str:
    """Return what to do with a volume that lies elsewhere than its image."""
    if (volume.size != grid.size).any():
        return "resample it onto the image"
    # If only the header is wrong, resampling would move the voxels to where they never were.
    return (
        f"both have {_listed(grid.size)} voxels, so perhaps its header alone is wrong. Where they belong together "
        "voxel for voxel, copy the header of the image to it, with nibabel: "
        "save(Nifti1Image(load(MASK).dataobj, load(IMAGE).affine), NEW_MASK)"
    )


def _corners(size: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the indices of the eight corner voxels, (8, 3)."""
    return np.array(list(itertools.product(*((0, length - 1) for length in size))))


def _moved(points: npt.NDArray[np.int64], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return ``affine`` applied to (n, 3) points."""
    return np.asarray(points @ affine[:3, :3].T + affine[:3, 3])


def _listed(numbers: npt.NDArray[Any]) -> str:
    return " x ".join(f"{number:.5g}" for number in numbers)


def encode_nifti(volume: Volume) -> npt.NDArray[np.uint8]:
    """Return a volume as the bytes of a NIfTI file with one affine, in which all readers agree.

    Args:
        volume: in a type that NIfTI has.
    """
    import nibabel

    image = nibabel.Nifti1Image(volume.voxels.T, volume.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, code=1)
    image.set_qform(volume.affine, code=1)
    return np.frombuffer(image.to_bytes(), dtype=np.uint8)


def spacing_in_file(affine: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the spacing, mm along (z, y, x), that readers find in a file of ``encode_nifti``: headers hold float32.

    Args:
        affine: (4, 4) of the volume.
    """
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0).astype(np.float32).tolist()
    return z, y, x


def write_compressed(path: Path, content: npt.NDArray[np.uint8]) -> None:
    """Write bytes as .gz; equal bytes give equal files.

    Args:
        path: the file to create.
        content: of ``encode_nifti``.
    """
    path.write_bytes(gzip.compress(content.tobytes(), COMPRESSION_LEVEL, mtime=0))


def compact_voxels(voxels: npt.NDArray[Any]) -> npt.NDArray[np.int16] | npt.NDArray[np.float32]:
    """Return voxels as int16 if it holds every value exactly, else as float32, in which nnU-Net reads all images.

    Args:
        voxels: any shape.
    """
    if voxels.dtype == np.int16:
        return voxels
    limits = np.iinfo(np.int16)
    if voxels.min() >= limits.min and voxels.max() <= limits.max and (voxels == np.rint(voxels)).all():
        return voxels.astype(np.int16)
    return voxels.astype(np.float32)


def undefined_problem(voxels: npt.NDArray[Any]) -> str:
    """Return what is wrong with voxels that are no numbers in float32, "" if nothing: nnU-Net reads all images in it.

    Args:
        voxels: any shape and type of number.
    """
    if voxels.dtype.kind != "f":
        return ""
    if n_undefined := np.count_nonzero(~np.isfinite(voxels)):
        return f"{n_undefined} voxels are NaN or infinite, expected numbers"
    lowest, highest = float(voxels.min()), float(voxels.max())
    if max(-lowest, highest) > float(np.finfo(np.float32).max):
        return f"values from {lowest:g} to {highest:g}, which float32 does not hold, in which nnU-Net reads all images"
    return ""


def digest_of(voxels: npt.NDArray[Any]) -> str:
    """Return a digest that is equal for equal voxels.

    Args:
        voxels: (z, y, x), int16 or float32.
    """
    content = np.ascontiguousarray(voxels)
    return blake2b(content.tobytes() + repr((content.shape, content.dtype.str)).encode(), digest_size=16).hexdigest()


class WritesNifti:
    """Mixin of converters whose ``read`` returns the bytes of NIfTI files, since voxels do not tell their place."""

    def write(self, path: Path, array: npt.NDArray[Any]) -> None:
        """Save an image or label as .nii.gz.

        Args:
            path: the file to create.
            array: the bytes of the file before compression.
        """
        write_compressed(path, array)
