"""TransUNet's preprocessed CT, slices in .npz and volumes in .h5, stacked to NIfTI volumes.

Source:
    Chen et al. 2021, arXiv:2102.04306: values clipped to [-125, 275] HU and scaled to [0, 1].
"""

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.synapse_organs import OrganNumbers, count_values, whole_numbers
from nnunet_mamba.data.formats.declared_sizes import packing_problem, size_problem
from nnunet_mamba.data.formats.nifti_files import Volume, VolumeError, WritesNifti, digest_of, encode_nifti
from nnunet_mamba.data.formats.whole_numbers import near_whole_numbers
from nnunet_mamba.data.problems import CaseCheck, Problem

NPZ, H5 = ".npz", ".h5"
_DAMAGES = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,
    NotImplementedError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)


def _read_arrays(path: Path, names: Sequence[str]) -> list[npt.NDArray[Any]]:
    """Return the named arrays of a file."""
    try:
        if path.suffix == NPZ:
            _refuse_npz_sizes(path, names)
            with np.load(path, allow_pickle=False) as content:
                return [np.asarray(content[name]) for name in names]
        import h5py

        with h5py.File(path, "r") as content:
            n_bytes = sum(math.prod(content[name].shape) * content[name].dtype.itemsize for name in names)
            if problem := size_problem(n_bytes):
                raise VolumeError(f"{problem} ({path})")
            return [np.asarray(content[name]) for name in names]
    except ModuleNotFoundError as error:
        raise VolumeError("cannot be read without h5py; pip install h5py") from error
    except VolumeError:
        raise
    except MemoryError as error:
        raise VolumeError(f"larger than the memory that is left; convert it on a larger machine ({path})") from error
    except _DAMAGES as error:
        raise VolumeError(
            f"unreadable, expected arrays {' and '.join(names)}: {error}; copy or download it again ({path})"
        ) from error


def _refuse_npz_sizes(path: Path, names: Sequence[str]) -> None:
    """Raise if the arrays of a file, as their headers say, are more than it can hold or than fits into memory."""
    with zipfile.ZipFile(path) as archive:
        total = 0
        for name in names:
            entry = archive.getinfo(f"{name}.npy")
            with archive.open(entry) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
            total += math.prod(shape) * dtype.itemsize
            is_deflated = entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if is_deflated and (problem := packing_problem(math.prod(shape) * dtype.itemsize, entry.compress_size)):
                raise VolumeError(f"{name}: {problem} ({path})")
        if problem := size_problem(total):
            raise VolumeError(f"{problem} ({path})")


def read_stack(paths: Sequence[Path], *, is_labelled: bool) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any] | None]:
    """Return the image of a case and its label, both (z, y, x).

    Args:
        paths: all slices in their order, or one volume.
        is_labelled: whether the label is read.

    Raises:
        VolumeError: damaged, an array is missing, or sizes differ; the text names the file.
    """
    names = ("image", "label") if is_labelled else ("image",)
    n_axes = 3 if paths[0].suffix == H5 else 2
    stacks: list[list[npt.NDArray[Any]]] = [[] for _ in names]
    for path in paths:
        arrays = _read_arrays(path, names)
        expected = stacks[0][0].shape if stacks[0] else arrays[0].shape
        for name, array, stack in zip(names, arrays, stacks, strict=True):
            if array.ndim != n_axes or array.shape != expected or array.size == 0:
                raise VolumeError(
                    f"{name} of shape {array.shape}, expected "
                    f"{expected if len(expected) == n_axes else f'{n_axes} axes'}; preprocess the case again ({path})"
                )
            if array.dtype.kind not in "iuf":
                raise VolumeError(f"{name} of type {array.dtype}, expected numbers; preprocess the case again ({path})")
            stack.append(array)
    image, *label = (stack[0] if n_axes == 3 else np.stack(stack) for stack in stacks)
    # What float32 does not hold becomes infinite, and is told as that.
    with np.errstate(over="ignore"):
        image = image.astype(np.float32)
    return image, label[0] if label else None


def scaled_problems(image: npt.NDArray[np.float32]) -> Iterator[str]:
    """Yield what is wrong with the values of a preprocessed image.

    Args:
        image: (z, y, x), 0 to 1.
    """
    if not np.isfinite(image).all():
        yield f"{np.count_nonzero(~np.isfinite(image))} voxels are NaN or infinite; preprocess the case again"
    elif image.min() < 0 or image.max() > 1:
        yield (
            f"values from {image.min():g} to {image.max():g}, expected 0 to 1 as in TransUNet's files; convert "
            "Hounsfield units from the NIfTI files of RawData"
        )
    elif image.min() == image.max():
        yield f"blank: every voxel is {image.min():g}; preprocess the case again"


@dataclass(frozen=True)
class TransUNetConverter(WritesNifti):
    """Check, read and write one case of preprocessed slices, or one preprocessed volume.

    Its files say nothing of spacing and orientation: slices and axes stay as they are, and the headers say what
    TransUNet's own code says when it writes volumes, axial slices from the feet upwards.

    Args:
        numbers: of the organs.
        spacing: mm, (z, y, x), written into the headers.
    """

    numbers: OrganNumbers
    spacing: tuple[float, float, float]

    def check(self, case: Case) -> CaseCheck:
        """Look at a case's files.

        Args:
            case: its channels are all slices in order, or one volume; the label is in the same files.
        """
        try:
            image, label = read_stack(case.channels, is_labelled=case.mask is not None)
        except VolumeError as error:
            return CaseCheck(problems=(Problem(case.identifier, str(error)),))
        found = [(text, "") for text in scaled_problems(image)]
        source: dict[str, Any] = {"shape": list(image.shape)}
        foreground = None
        n_rounded = 0
        if label is not None:
            try:
                values, n_rounded = near_whole_numbers(label)
                counts = count_values(whole_numbers(values))
            except VolumeError as error:
                found.append((str(error), ""))
            else:
                found += self.numbers.problems(counts)
                source["voxels"] = self.numbers.voxels(counts)
                foreground = sum(source["voxels"].values()) / label.size
        return CaseCheck(
            problems=tuple(Problem(case.identifier, text, case.channels[0], advice) for text, advice in found),
            source=source,
            digest=None if found else digest_of(image),
            foreground=foreground,
            n_rounded=n_rounded,
        )

    def read(self, case: Case) -> list[npt.NDArray[Any]]:
        """Return the image and, if the case has one, its label, each as the bytes of a NIfTI file.

        Args:
            case: one that passed the check.

        Raises:
            ValueError: its files changed after the check.
        """
        z, y, x = self.spacing
        affine = np.diag([-x, -y, z, 1.0])
        try:
            image, label = read_stack(case.channels, is_labelled=case.mask is not None)
            files = [encode_nifti(Volume(image, affine))]
            if label is not None:
                files.append(encode_nifti(Volume(self.numbers.renumbered(whole_numbers(label)), affine)))
        except VolumeError as error:
            raise ValueError(f"{case.identifier}: {error}") from error
        return files
