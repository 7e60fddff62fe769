"""Computed tomography with label maps of organs, NIfTI to NIfTI, without changing a voxel."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.synapse_organs import OrganNumbers, count_values, whole_numbers
from nnunet_mamba.data.formats.label_values import LabelValues
from nnunet_mamba.data.formats.nifti_files import (
    Volume,
    VolumeError,
    WritesNifti,
    compact_voxels,
    digest_of,
    encode_nifti,
    read_nifti,
    turned_onto,
    undefined_problem,
)
from nnunet_mamba.data.formats.whole_numbers import near_whole_numbers
from nnunet_mamba.data.problems import CaseCheck, Problem
from nnunet_mamba.data.writing.raw_dataset import DatasetDescription

# Every CT of a body shows air: -1000 HU. Images without are windowed, rescaled or not CT.
AIR = -500  # HU
SPACING_LIMITS = (0.1, 20.0)  # mm
# Of the largest to the smallest spacing; abdominal CT has up to about 10.
LARGEST_ANISOTROPY = 20.0


def ct_description(numbers: OrganNumbers, *, sigmoid: bool = False) -> DatasetDescription:
    """Return the description of a data set of one CT per case; nnU-Net normalises "CT" over the whole data set.

    Args:
        numbers: the organs.
        sigmoid: declare every organ as a region, so that nnU-Net trains a sigmoid output for each with BCE and Dice.
    """
    labels, order = LabelValues.of(numbers.source_labels).for_dataset_json(sigmoid=sigmoid)
    return DatasetDescription(
        channel_names=("CT",),
        labels=labels,
        file_ending=".nii.gz",
        reader_writer="SimpleITKIO",
        regions_class_order=order,
    )


def ct_problems(image: Volume) -> Iterator[str]:
    """Yield what is wrong with the values and the spacing of a CT.

    Args:
        image: in HU.
    """
    if problem := undefined_problem(image.voxels):
        yield f"{problem}; convert it from its source again"
    elif (lowest := image.voxels.min()) > AIR:
        yield (
            f"values from {lowest:g} to {image.voxels.max():g}, expected Hounsfield units with air below {AIR}; take "
            "the original CT, neither windowed nor rescaled"
        )
    elif lowest == image.voxels.max():
        yield f"blank: every voxel is {lowest:g}, expected a CT; copy or download it again"
    yield from spacing_problems(image.spacing)


def spacing_problems(spacing: npt.NDArray[np.float64]) -> Iterator[str]:
    """Yield what is wrong with a spacing.

    Args:
        spacing: mm, (3,).
    """
    listed = " x ".join(f"{one:.5g}" for one in spacing)
    lowest, highest = SPACING_LIMITS
    if spacing.min() < lowest or spacing.max() > highest:
        yield f"spacing {listed} mm, expected {lowest:g} to {highest:g} mm; correct the header"
    elif spacing.max() > LARGEST_ANISOTROPY * spacing.min():
        yield (
            f"spacing {listed} mm, a ratio of {spacing.max() / spacing.min():.3g}, expected at most "
            f"{LARGEST_ANISOTROPY:g}; correct the header"
        )


@dataclass(frozen=True)
class CtConverter(WritesNifti):
    """Check, read and write one CT with its label map.

    The grid of the image stays, and the label is turned onto it.

    Args:
        numbers: of the organs.
    """

    numbers: OrganNumbers

    def check(self, case: Case) -> CaseCheck:
        """Look at a case's files.

        Args:
            case: a NIfTI image, with a NIfTI label or without. Either may be missing, where the other is there.
        """
        problems = [Problem(case.identifier, text, file) for text, file in _missing_files(case)]
        source: dict[str, Any] = {"shape": []}
        image = digest = foreground = None
        n_rounded = 0
        try:
            image = read_nifti(case.channels[0]) if case.channels[0].is_file() else None
        except VolumeError as error:
            problems.append(Problem(case.identifier, str(error), case.channels[0]))
        if image is not None:
            found = list(ct_problems(image))
            problems += [Problem(case.identifier, text, case.channels[0]) for text in found]
            source = {"shape": list(image.voxels.shape), "affine": image.affine.tolist()}
            digest = None if found else digest_of(compact_voxels(image.voxels))
        if case.mask is not None and case.mask.is_file():
            try:
                label = read_nifti(case.mask)
                values, n_rounded = near_whole_numbers(label.voxels)
                counts = count_values(whole_numbers(values))
                found_in_label = self.numbers.problems(counts)
                problems += [Problem(case.identifier, text, case.mask, advice) for text, advice in found_in_label]
                source["voxels"] = self.numbers.voxels(counts)
                foreground = sum(source["voxels"].values()) / label.voxels.size
                if image is not None:
                    turned_onto(label, image)
            except VolumeError as error:
                problems.append(Problem(case.identifier, f"label: {error}", case.mask))
        return CaseCheck(
            problems=tuple(problems), source=source, digest=digest, foreground=foreground, n_rounded=n_rounded
        )

    def read(self, case: Case) -> list[npt.NDArray[Any]]:
        """Return the image and, if the case has one, its label, each as the bytes of a NIfTI file.

        Voxels alone would not tell where they are.

        Args:
            case: one that passed the check.

        Raises:
            ValueError: its files changed after the check.
        """
        try:
            image = read_nifti(case.channels[0])
            files = [encode_nifti(Volume(compact_voxels(image.voxels), image.affine))]
            if case.mask is not None:
                label = read_nifti(case.mask)
                turned = self.numbers.renumbered(whole_numbers(turned_onto(label, image)))
                files.append(encode_nifti(Volume(turned, image.affine)))
        except VolumeError as error:
            raise ValueError(f"{case.identifier}: {error} ({case.channels[0]}, {case.mask})") from error
        return files


def _missing_files(case: Case) -> Iterator[tuple[str, Path]]:
    """Yield which file of a pair is missing, and the one that is there."""
    image, label = case.channels[0], case.mask
    if label is not None and not label.is_file():
        yield f"no label for this image, expected {label.name}; add it or remove the image", image
    if label is not None and not image.is_file():
        yield f"no image for this label, expected {image.name}; add it or remove the label", label
