"""Folders of black and white masks without a dataset.json: pictures of 0 and 255, which are scored as one label."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_mamba.data.formats.file_endings import PICTURE_ENDINGS
from nnunet_mamba.data.formats.label_map_files import refuse_if_no_folder
from nnunet_mamba.data.formats.whole_numbers import shown_number
from nnunet_mamba.data.problems import same_name
from nnunet_mamba.evaluation.case_files import CaseFiles, refuse_missing, refuse_swapped
from nnunet_mamba.evaluation.label_pictures import Array, NoLabelMapError, read_label_picture

LABEL = "foreground"
WHITE = 255
# How ISIC, PH2 and the LGG set call the mask of an image, in small letters, and how programs call it.
_PUBLISHED_SUFFIXES = ("_segmentation", "_lesion", "_mask")
MASK_SUFFIXES = (*_PUBLISHED_SUFFIXES, "_seg", "_label")
SUFFIXES_IN_WORDS = f"{', '.join(MASK_SUFFIXES[:-1])} or {MASK_SUFFIXES[-1]}"
_SHOWN_VALUES = 5


class PlainMaskReader:
    """Reads a black and white picture as a label map of 0 and 1."""

    def read_seg(self, seg_fname: str) -> tuple[Array, dict[str, Any]]:
        """Return a label map, (1, 1, y, x), and nothing about its place.

        Raises:
            NoLabelMapError: the file does not hold 0 and 255 alone.
            OSError: it cannot be read.
            ValueError: it is damaged.
            SyntaxError: the same.
        """
        pixels = read_label_picture(Path(seg_fname))
        is_white = pixels if pixels.dtype == bool else pixels == WHITE
        if pixels.dtype != bool and not (is_white | (pixels == 0)).all():
            others = np.unique(pixels[~is_white & (pixels != 0)])
            shown = ", ".join(map(shown_number, others[:_SHOWN_VALUES]))
            raise NoLabelMapError(
                f"has the values {shown}{', …' if len(others) > _SHOWN_VALUES else ''}, expected 0 and {WHITE}; write "
                "it in black and white, or name the dataset.json that knows its values with `dataset_json=FILE`"
            )
        return is_white[None, None].astype(np.uint8), {}

    def take_missed(self) -> dict[str, int]:
        """Return how many values were taken as whole in each file: none is."""
        return {}


def are_plain_masks(folder: Path) -> bool:
    """Return whether the pictures in a folder are black and white masks: the first one with something in it tells.

    Args:
        folder: of references.
    """
    return are_black_and_white([path for paths in _pictures(folder).values() for path in paths])


def are_black_and_white(paths: Sequence[Path]) -> bool:
    """Return whether pictures are black and white masks: the first one with something in it tells.

    Args:
        paths: of references.
    """
    for path in paths:
        try:
            pixels = read_label_picture(path)
        except (OSError, ValueError, SyntaxError):
            continue
        if pixels.any():
            return bool(pixels.dtype == bool or (pixels == WHITE).any())
    return bool(paths)


def paired_masks(predictions: Path, references: Path, *, allow_missing: bool = False) -> list[CaseFiles]:
    """Return the masks of the same case in both folders, sorted.

    The name of a case is that of its file, without ending, letter case and one of ``MASK_SUFFIXES``.

    Args:
        predictions: folder of predicted masks.
        references: folder of reference masks.
        allow_missing: whether references may have no prediction.

    Raises:
        FileNotFoundError: a folder holds no picture; a reference or, without ``allow_missing``, a prediction is
            missing; lists all.
        ValueError: two files of a folder belong to one case, or the folders are swapped; lists all.
    """
    predicted, reference = (_one_per_case(folder, holds) for folder, holds in _named(predictions, references))
    _refuse_if_swapped(predictions, references, predicted, reference)
    unpredicted = {case: path.name for case, path in reference.items() if case not in predicted}
    refuse_missing(
        predictions,
        references,
        unpredicted={} if allow_missing else unpredicted,
        unlabelled={case: path.name for case, path in predicted.items() if case not in reference},
        found_predictions={},
        found_labels={},
        can_allow=bool(unpredicted) and not allow_missing,
    )
    return [
        CaseFiles(identifier=mask_stem(reference[case]), prediction=predicted[case], reference=reference[case])
        for case in sorted(predicted)
    ]


def _named(predictions: Path, references: Path) -> tuple[tuple[Path, str], tuple[Path, str]]:
    return (predictions, "predictions"), (references, "labels")


def _pictures(folder: Path) -> dict[str, list[Path]]:
    """Return the pictures in a folder by case, sorted."""
    found = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PICTURE_ENDINGS and not path.name.startswith("."):
            found[same_name(mask_stem(path))].append(path)
    return dict(found)


def _one_per_case(folder: Path, holds: str) -> dict[str, Path]:
    refuse_if_no_folder(folder, holds=holds)
    pictures = _pictures(folder)
    if not pictures:
        raise FileNotFoundError(
            f"{folder} holds no masks, expected pictures such as .png files; name the folder of {holds}"
        )
    if several := [paths for paths in pictures.values() if len(paths) > 1]:
        listed = "\n  ".join(" and ".join(path.name for path in paths) for paths in several)
        raise ValueError(
            f"{folder} holds several files of one case:\n  {listed}\nKeep one mask of each case there, and no images."
        )
    return {case: paths[0] for case, paths in pictures.items()}


def _refuse_if_swapped(
    predictions: Path, references: Path, predicted: dict[str, Path], reference: dict[str, Path]
) -> None:
    """Raise if only the predictions are named as data sets name their references."""
    # Programs that predict end names with the other suffixes.
    marked = [path for path in predicted.values() if path.stem.lower().endswith(_PUBLISHED_SUFFIXES)]
    if len(marked) == len(predicted) and all(path.stem == mask_stem(path) for path in reference.values()):
        refuse_swapped(
            predictions, references, f"{predictions} holds masks called as a data set's own, such as {marked[0].name}"
        )


def mask_stem(path: Path) -> str:
    """Return the name of a case: that of its mask without ending, and without one of ``MASK_SUFFIXES``."""
    stem = path.stem
    suffix = next((end for end in MASK_SUFFIXES if stem.lower().endswith(end) and len(stem) > len(end)), "")
    return stem[: len(stem) - len(suffix)]
