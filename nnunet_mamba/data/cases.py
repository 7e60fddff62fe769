"""A case: what it is called, where its source files are and which files nnU-Net expects of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image, with masks or without, as the source has it.

    Args:
        identifier: nnU-Net's name of the case, the start of its file names.
        channels: the source files that its channels come from, in order. A colour photograph is one file.
        mask: the source's file that becomes its label; None only for a test case.
        other_masks: further masks, joined with the first to one label; a later one covers an earlier one.
        mask_numbers: the label that each mask marks; empty where the masks' values tell the labels.
        must_be_disjoint: whether several masks of one label are joined only if no two of them mark the same place.
        is_training: whether it goes to imagesTr (needs a mask) or to imagesTs.
        is_validation: whether the source has it in a validation part, which a split may hold out.
        group: cases of one group, such as the slices of a patient or the images of a lesion, must be on one side of a
            split; None if the case is a group of its own.
    """

    identifier: str
    channels: tuple[Path, ...]
    mask: Path | None = None
    is_training: bool = True
    is_validation: bool = False
    group: str | None = None
    other_masks: tuple[Path, ...] = ()
    mask_numbers: tuple[int, ...] = ()
    must_be_disjoint: bool = False

    @property
    def masks(self) -> tuple[Path, ...]:
        """All its masks, in the order of joining."""
        return () if self.mask is None else (self.mask, *self.other_masks)

    def __post_init__(self) -> None:
        assert self.mask is not None or not self.is_training, f"training case {self.identifier} has no mask"


def count_groups(cases: Iterable[Case]) -> int:
    """Return how many groups cases belong to; one without a group counts for itself.

    Args:
        cases: with unique identifiers.
    """
    return len({(case.group is None, case.identifier if case.group is None else case.group) for case in cases})


def image_file_names(identifier: str, n_files: int, file_ending: str) -> list[str]:
    """Return nnU-Net's file names of an image: one for each file that its channels are spread over.

    Args:
        identifier: the case's name.
        n_files: how many files; an RGB photograph is three channels in one file.
        file_ending: with its dot, ".png" or ".nii.gz".
    """
    return [f"{identifier}_{index:04d}{file_ending}" for index in range(n_files)]


def case_files(case: Case, folder: Path, *, n_files: int, file_ending: str) -> list[Path]:
    """Return where nnU-Net looks for a case: its image files in order, then its label if it has one.

    Args:
        case: a training or test case.
        folder: ``$nnUNet_raw/DatasetXXX_Name``.
        n_files: image files of a case.
        file_ending: with its dot.
    """
    part = "Tr" if case.is_training else "Ts"
    files = [folder / f"images{part}" / name for name in image_file_names(case.identifier, n_files, file_ending)]
    return files if case.mask is None else [*files, folder / f"labels{part}" / f"{case.identifier}{file_ending}"]
