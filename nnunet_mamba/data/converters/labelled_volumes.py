"""NIfTI volumes of one or several channels with label volumes as an nnU-Net data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.joined_masks import MaskFileError, joined_label
from nnunet_mamba.data.converters.mask_hints import border_share
from nnunet_mamba.data.formats.image_files import ByteImage
from nnunet_mamba.data.formats.label_values import LabelValues, UnknownValuesError, label_map
from nnunet_mamba.data.formats.nifti_files import (
    Volume,
    VolumeError,
    WritesNifti,
    compact_voxels,
    digest_of,
    encode_nifti,
    turned_onto,
    undefined_problem,
)
from nnunet_mamba.data.formats.volume_files import read_volume
from nnunet_mamba.data.formats.whole_numbers import near_whole_numbers, undefined_text
from nnunet_mamba.data.problems import CaseCheck, Problem

# Only CT has values below this (HU): air is -1000.
LOWEST_VALUE_BESIDES_CT = -500
# Largest to smallest spacing: 10 mm slices with pixels of 0.1 mm. A larger ratio is an error of the header.
LARGEST_ANISOTROPY = 100


@dataclass(frozen=True, kw_only=True)
class VolumeConverter(WritesNifti):
    """Check, read and write one volume with its label volume.

    The grid of the first channel stays; other channels and the label are turned onto it where their axes run otherwise.

    Args:
        labels: what the values of label volumes mean.
        threshold: instead, foreground is what is above; ``labels`` then has background and one label more.
        may_be_ct: the user has named the channels, so that values as in a CT are meant.
        allow_empty_masks: accept label volumes without foreground.
    """

    labels: LabelValues
    threshold: float | None = None
    may_be_ct: bool = True
    allow_empty_masks: bool = False

    def check(self, case: Case) -> CaseCheck:
        """Look at a case's files.

        Args:
            case: with a label volume or without.
        """
        problems: list[Problem] = []
        source: dict[str, Any] = {"shape": [0, 0, 0]}
        digest = label = grid = None
        n_rounded = 0
        try:
            channels = load_volumes(case.channels, may_be_ct=self.may_be_ct)
            grid = channels[0]
            source = {"shape": list(grid.voxels.shape), "affine": grid.affine.tolist()}
            digest = " ".join(digest_of(channel.voxels) for channel in channels)
        except VolumeFileError as error:
            problems.append(Problem(case.identifier, str(error), error.path))
        if case.mask is not None:
            try:
                label, n_rounded = self._label(case, grid)
            except MaskFileError as error:
                problems.append(Problem(case.identifier, str(error), error.path))
            if len(case.masks) > 1:
                source["masks"] = len(case.masks)
        return CaseCheck(
            problems=tuple(problems),
            source=source,
            digest=digest,
            foreground=None if label is None else self.labels.foreground_share(label),
            border=border_share(label) if label is not None and self.labels.is_binary else None,
            n_rounded=n_rounded,
        )

    def read(self, case: Case) -> list[npt.NDArray[Any]]:
        """Return the channels and, if the case has one, the label, each as the bytes of a NIfTI file.

        Voxels alone would not tell where they are.

        Args:
            case: one that passed the check.

        Raises:
            ValueError: its files changed after the check.
        """
        try:
            channels = load_volumes(case.channels, may_be_ct=self.may_be_ct)
            volumes = channels
            if case.mask is not None:
                label, _ = self._label(case, channels[0])
                volumes = [*channels, Volume(label, channels[0].affine)]
        except (VolumeError, MaskFileError) as error:
            raise ValueError(f"{case.identifier}: {error} ({case.channels[0]}, {case.mask})") from error
        return [encode_nifti(volume) for volume in volumes]

    def _label(self, case: Case, grid: Volume | None) -> tuple[ByteImage, int]:
        """Return the label (z, y, x), on a grid if there is one, and how many values nearly missed a whole number.

        Raises:
            MaskFileError: one of its files cannot be used, or all are empty.
        """
        n_rounded = 0

        def read(path: Path) -> ByteImage:
            nonlocal n_rounded
            label, n_of_file = self._mask(path, grid)
            n_rounded += n_of_file
            return label

        label = joined_label(case, read)
        if not self.allow_empty_masks and (empty := self.labels.empty_text(label, "voxel")):
            assert case.mask is not None
            raise MaskFileError(empty, case.mask)
        return label, n_rounded

    def _mask(self, path: Path, grid: Volume | None) -> tuple[ByteImage, int]:
        """Return what one file holds, on a grid if there is one, and how many values nearly missed a whole number."""
        stored = read_volume(path)
        n_rounded = 0
        values = stored.voxels if grid is None else turned_onto(stored, grid)
        if self.threshold is None:
            try:
                whole, n_rounded = near_whole_numbers(values)
                label = label_map(whole, self.labels.in_integers(), colours=False)
            except UnknownValuesError as error:
                raise VolumeError(str(error)) from error
        elif undefined := undefined_text(values):
            raise VolumeError(undefined)
        else:
            label = (values > self.threshold).astype(np.uint8)
        return label, n_rounded


class VolumeFileError(VolumeError):
    """What is wrong with one of several image files, which ``path`` names."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self.path = path


def load_volumes(paths: Sequence[Path], *, may_be_ct: bool) -> list[Volume]:
    """Return the volumes of all channels of an image, on the grid of the first.

    Args:
        paths: a volume for each channel.
        may_be_ct: whether values as in a CT are meant.

    Returns:
        Voxels of int16, or float32 where that does not hold them.

    Raises:
        VolumeFileError: one of them is damaged, lies elsewhere, or has values that nnU-Net cannot take.
    """
    channels: list[Volume] = []
    for path in paths:
        try:
            channel = read_volume(path)
            _refuse_values(channel, may_be_ct=may_be_ct)
            grid = channels[0] if channels else channel
            channels.append(Volume(compact_voxels(turned_onto(channel, grid)), grid.affine))
        except VolumeError as error:
            raise VolumeFileError(str(error), path) from error
    return channels


def _refuse_values(image: Volume, *, may_be_ct: bool) -> None:
    """Raise if an image's values or spacing are not what nnU-Net can take."""
    if problem := undefined_problem(image.voxels):
        raise VolumeError(f"{problem}; replace them by a number")
    lowest = image.voxels.min()
    if not may_be_ct and lowest < LOWEST_VALUE_BESIDES_CT:
        raise VolumeError(
            f"values down to {lowest:g}, as in a CT, which nnU-Net normalises in its own way; say what it is with "
            "`channel_names=CT`, or give another name"
        )
    ratio = image.spacing.max() / image.spacing.min()
    if min(image.voxels.shape) > 1 and ratio > LARGEST_ANISOTROPY:
        raise VolumeError(
            f"spacings of a ratio of {ratio:.3g}, expected at most {LARGEST_ANISOTROPY}; correct the header"
        )
