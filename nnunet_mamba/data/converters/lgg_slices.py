"""Stacks of slice pictures: one file per slice, its colour channels are MR sequences, its mask lies beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.mask_hints import border_share
from nnunet_mamba.data.formats.image_files import (
    ByteImage,
    ImageFileError,
    Shape,
    opened_image,
    orientation_of,
    resized_image,
    resized_mask,
    write_png,
)
from nnunet_mamba.data.formats.nifti_files import Volume, encode_nifti, write_compressed
from nnunet_mamba.data.problems import CaseCheck, Problem

Spacing: TypeAlias = tuple[float, float, float]

LARGEST_SPACING = 100.0  # mm
MASK_SUFFIX = "_mask"
# Names that nnU-Net does not know: it normalises such channels by their mean and standard deviation, case by case.
SEQUENCES = ("pre-contrast", "FLAIR", "post-contrast")
FLAIR = SEQUENCES.index("FLAIR")


def mask_of(slice_file: Path) -> Path:
    """Return where the mask of a slice belongs.

    Args:
        slice_file: such as ``TCGA_CS_4941_19960909_1.tif``.
    """
    return slice_file.with_name(f"{slice_file.stem}{MASK_SUFFIX}{slice_file.suffix}")


def axial_affine(spacing: Spacing) -> npt.NDArray[np.float64]:
    """Return the affine of axial slices as radiologists look at them, the lowest first.

    Columns run to the patient's left, rows to the back and slices upwards: in ITK's coordinates the identity.

    Args:
        spacing: mm per voxel, (z, y, x).

    Returns:
        (4, 4), from an index (x, y, z) to a position in mm (right, anterior, superior), the first voxel at the origin.

    Raises:
        ValueError: a spacing is no length.
    """
    for axis, length in zip("zyx", spacing, strict=True):
        if not (math.isfinite(length) and 0 < length <= LARGEST_SPACING):
            raise ValueError(f"spacing {length} mm along {axis}: expected more than 0, {LARGEST_SPACING:g} mm at most")
    z, y, x = spacing
    return np.diag([-x, -y, z, 1.0])


def load_slice(path: Path) -> ByteImage:
    """Read a slice as (y, x, 3), one channel for each of SEQUENCES. It may be blank, as the ends of a stack are.

    Args:
        path: an 8-bit RGB image.

    Raises:
        ImageFileError: damaged, turned, or anything but 8-bit RGB.
    """
    with opened_image(path) as image:
        if image.mode != "RGB":
            raise ImageFileError(
                f"colour mode {image.mode}, expected 8-bit RGB, one channel for each of {', '.join(SEQUENCES)}; "
                "save it so, or copy it again"
            )
        if (orientation := orientation_of(image)) > 1:
            raise ImageFileError(f"orientation {orientation}; save the slice upright, without the entry")
        return np.asarray(image)


def load_slice_mask(path: Path) -> ByteImage:
    """Read a mask as (y, x), 0 background, 1 foreground. Only black and white are accepted.

    Other values would be those of a copy that was resized or compressed with losses, or of a damaged file.

    Args:
        path: an 8-bit grey or 1-bit image.

    Raises:
        ImageFileError: damaged, turned, coloured, grey, or white all over.
    """
    with opened_image(path) as image:
        if image.mode not in ("L", "1"):
            raise ImageFileError(f"colour mode {image.mode}, expected 8-bit grey, black and white; copy it again")
        if (orientation := orientation_of(image)) > 1:
            raise ImageFileError(f"orientation {orientation}; save the mask upright, without the entry")
        values = np.asarray(image.convert("L"))
    white = values == 255
    if others := np.unique(values[~white & (values != 0)]).tolist():
        shown = ", ".join(map(str, others[:5])) + (", ..." if len(others) > 5 else "")
        raise ImageFileError(f"values {shown} in the mask, expected 0 and 255 only; copy it again")
    if white.all():
        raise ImageFileError("white all over, expected a tumour on black; copy the mask again")
    return np.asarray(white, dtype=np.uint8)


def same_as_flair(pixels: ByteImage) -> list[str]:
    """Return the sequences that are a copy of FLAIR, which the publishers put in place of what was never acquired.

    Args:
        pixels: (..., 3), one slice or all.
    """
    return [
        name
        for index, name in enumerate(SEQUENCES)
        if index != FLAIR and np.array_equal(pixels[..., index], pixels[..., FLAIR])
    ]


@dataclass(frozen=True)
class StackConverter:
    """Check, read and write a patient: the slices in ``Case.channels``, in order, as a volume.

    A case with a label has a mask for every slice.

    Args:
        spacing: mm per voxel, (z, y, x).
    """

    spacing: Spacing

    def __post_init__(self) -> None:
        # Refuse a wrong spacing before anything is read.
        axial_affine(self.spacing)

    def check(self, case: Case) -> CaseCheck:
        """Look at a patient's files.

        Args:
            case: a patient.
        """
        pairs = [_look_at(path, is_labelled=case.mask is not None) for path in case.channels]
        faults = [fault for pair in pairs for fault in pair.faults]
        first = next((pair.pixels.shape[:2] for pair in pairs if pair.pixels is not None), ())
        faults += [
            (f"{_size(pair.pixels.shape)}, other slices {_size(first)}; is it a slice of another patient?", path)
            for path, pair in zip(case.channels, pairs, strict=True)
            if pair.pixels is not None and pair.pixels.shape[:2] != first
        ]
        source: dict[str, Any] = {"shape": [len(pairs), *first]}
        if faults:
            return CaseCheck(problems=_problems(case, faults), source=source)
        voxels = np.stack([pair.pixels for pair in pairs if pair.pixels is not None])
        masks = [pair.mask for pair in pairs if pair.mask is not None]
        foreground = float(np.mean(masks)) if masks else None
        if voxels.min() == voxels.max():
            faults.append(("blank: every voxel of every slice has the same value", case.channels[0].parent))
        problems = _problems(case, faults)
        if foreground == 0:
            text, advice = "no tumour in any slice, expected some in every patient", "leave the patient out with"
            folder = case.channels[0].parent
            problems += (Problem(case.identifier, text, folder, f"{advice} `skip_invalid=True`"),)
        return CaseCheck(
            problems=problems,
            source={
                **source,
                "same_as_flair": same_as_flair(voxels),
                "slices": [path.name for path in case.channels],
            },
            digest=_digest(voxels),
            foreground=foreground,
            border=border_share(np.stack(masks)) if masks else None,
        )

    def read(self, case: Case) -> list[npt.NDArray[Any]]:
        """Return one volume (z, y, x) for each sequence, and the label (z, y, x) with values 0 and 1 if there is one.

        Args:
            case: a patient that passed the check.

        Raises:
            ValueError: its files changed after the check.
        """
        pairs = [_load_pair(case, path) for path in case.channels]
        if len({pixels.shape for pixels, _ in pairs}) > 1:
            raise ValueError(f"{case.identifier}: slices of several sizes ({case.channels[0].parent}); start again")
        voxels = np.stack([pixels for pixels, _ in pairs])
        masks = [mask for _, mask in pairs if mask is not None]
        return [*np.moveaxis(voxels, -1, 0), *([np.stack(masks)] if masks else [])]

    def write(self, path: Path, array: npt.NDArray[Any]) -> None:
        """Save a volume as NIfTI.

        Args:
            path: the file to create, .nii.gz.
            array: (z, y, x), uint8.
        """
        write_compressed(path, encode_nifti(Volume(array, axial_affine(self.spacing))))


@dataclass(frozen=True)
class SliceConverter:
    """Check, read and write one slice, with its mask if the case has a label, as pictures.

    Args:
        size: (y, x) to resize to; None keeps the size.
    """

    size: Shape | None

    def check(self, case: Case) -> CaseCheck:
        """Look at a slice and its mask.

        Args:
            case: a slice.
        """
        file = case.channels[0]
        pair = _look_at(file, is_labelled=case.mask is not None)
        faults = list(pair.faults)
        if pair.mask is not None and pair.mask.any() and not resized_mask(pair.mask, self.size).any():
            text = f"{int(pair.mask.sum())} tumour pixels, and none of them is left at the size {self.size}"
            faults.append((f"{text}; choose a larger `size`", mask_of(file)))
        foreground = None if pair.mask is None else float(pair.mask.mean())
        if pair.pixels is None:
            return CaseCheck(problems=_problems(case, faults), foreground=foreground)
        return CaseCheck(
            problems=_problems(case, faults),
            source={
                "shape": list(pair.pixels.shape[:2]),
                "same_as_flair": same_as_flair(pair.pixels),
                "file": f"{file.parent.name}/{file.name}",
            },
            # Blank slices look alike, but they are not one slice twice.
            digest=_digest(pair.pixels) if pair.pixels.min() < pair.pixels.max() else None,
            foreground=foreground,
            border=None if pair.mask is None else border_share(pair.mask),
        )

    def read(self, case: Case) -> list[npt.NDArray[Any]]:
        """Return the slice (y, x, 3), and its label (y, x) with values 0 and 1 if there is one.

        Args:
            case: a slice that passed the check.

        Raises:
            ValueError: its files changed after the check.
        """
        pixels, mask = _load_pair(case, case.channels[0])
        label = [] if mask is None else [resized_mask(mask, self.size)]
        return [resized_image(Image.fromarray(pixels), self.size), *label]

    def write(self, path: Path, array: npt.NDArray[Any]) -> None:
        """Save a slice or label as PNG.

        Args:
            path: the file to create.
            array: (y, x, 3) or (y, x), uint8.
        """
        write_png(path, array)


@dataclass(frozen=True)
class _Pair:
    """A slice (y, x, 3) and its mask (y, x), as far as they could be read, and what is wrong, with the file."""

    pixels: ByteImage | None
    mask: ByteImage | None
    faults: tuple[tuple[str, Path], ...]


def _look_at(path: Path, *, is_labelled: bool) -> _Pair:
    """Read a slice, and its mask if it is to have one."""
    faults = []
    pixels = mask = None
    try:
        pixels = load_slice(path)
    except ImageFileError as error:
        faults.append((str(error), path))
    if not is_labelled:
        return _Pair(pixels, None, tuple(faults))
    mask_file = mask_of(path)
    if not mask_file.is_file():
        faults.append((f"no mask for this slice, expected {mask_file.name} beside it; copy it again", path))
        return _Pair(pixels, None, tuple(faults))
    try:
        mask = load_slice_mask(mask_file)
    except ImageFileError as error:
        faults.append((str(error), mask_file))
    else:
        if pixels is not None and mask.shape != pixels.shape[:2]:
            faults.append((_mismatch(pixels, mask), mask_file))
    return _Pair(pixels, mask, tuple(faults))


def _load_pair(case: Case, path: Path) -> tuple[ByteImage, ByteImage | None]:
    """Return a slice (y, x, 3) that passed the check, and its mask (y, x) if the case has a label."""
    try:
        pixels, mask = load_slice(path), None if case.mask is None else load_slice_mask(mask_of(path))
    except ImageFileError as error:
        raise ValueError(f"{case.identifier}: {error} ({path} or its mask)") from error
    if mask is not None and mask.shape != pixels.shape[:2]:
        raise ValueError(f"{case.identifier}: {_mismatch(pixels, mask)} ({mask_of(path)})")
    return pixels, mask


def _problems(case: Case, faults: Sequence[tuple[str, Path]]) -> tuple[Problem, ...]:
    return tuple(Problem(case.identifier, text, file) for text, file in faults)


def _digest(pixels: ByteImage) -> str:
    return blake2b(pixels.tobytes() + repr(pixels.shape).encode(), digest_size=16).hexdigest()


def _mismatch(pixels: ByteImage, mask: ByteImage) -> str:
    return f"the mask has {_size(mask.shape)}, its slice {_size(pixels.shape)}; is it the mask of another slice?"


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[0]} pixels"
