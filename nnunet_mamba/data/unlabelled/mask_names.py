"""Which files that lie among images are masks, as their names and folders tell: conversions leave them out, too."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from nnunet_mamba.data.converters.isic_parts import MASK_FOLDERS, MASK_SUFFIX, OTHER_SUFFIXES
from nnunet_mamba.data.converters.lgg_slices import MASK_SUFFIX as SLICE_MASK_SUFFIX
from nnunet_mamba.data.problems import same_name
from nnunet_mamba.data.unlabelled.image_conversion import ImageKind
from nnunet_mamba.data.unlabelled.named_files import NamedFile

_LABEL_FOLDERS = (*MASK_FOLDERS, "label", "labels", "labelstr", "labelsts", "segmentation", "segmentations")
# A name that ends so is that of a mask if the rest of it is that of an image beside it.
_SUFFIXES_BESIDE_IMAGE = ("_mask", "_seg", "_label", "_lesion", MASK_SUFFIX)
# PH2 has a folder for the mask of a photograph, and one for the pictures of its regions.
_LESION, _REGIONS = "_lesion", "_roi"


def masks_among(files: Sequence[NamedFile], kind: ImageKind) -> set[Path]:
    """Return the files that are masks by their names or folders; none is opened.

    Args:
        files: all that may be images.
        kind: of the images.
    """
    stems = [same_name(file.stem) for file in files]
    there = {(file.parent, stem) for file, stem in zip(files, stems, strict=True)}
    return {
        file.path
        for file, stem in zip(files, stems, strict=True)
        if is_in_mask_folder(file.folders)
        or _is_mask_by_name(file, stem, kind)
        or (
            stem.endswith(_SUFFIXES_BESIDE_IMAGE)
            and any(
                (file.parent, stem.removesuffix(end)) in there for end in _SUFFIXES_BESIDE_IMAGE if stem.endswith(end)
            )
        )
    }


@cache
def is_in_mask_folder(folders: tuple[str, ...]) -> bool:
    """Return whether one of the folders below the one that the user has named is a folder of masks.

    Args:
        folders: their names.
    """
    return any(name.lower() in _LABEL_FOLDERS or name.lower().endswith("groundtruth") for name in folders)


def _is_mask_by_name(file: NamedFile, stem: str, kind: ImageKind) -> bool:
    """Return whether a file is called as the masks of published data sets.

    Args:
        file: the file.
        stem: its name without ending, in small letters.
        kind: of the images.
    """
    if kind in (ImageKind.LGG_SLICES, ImageKind.LGG_VOLUMES):
        return stem.endswith(SLICE_MASK_SUFFIX)
    if kind is not ImageKind.PHOTOGRAPHS:
        return False
    folder = os.path.basename(file.parent).lower()
    is_of_isic = stem.endswith((MASK_SUFFIX, *OTHER_SUFFIXES))
    is_lesion_of_ph2 = stem.endswith(_LESION) and (stem == folder or file.path.suffix.lower() == ".bmp")
    is_region_of_ph2 = folder.endswith(_REGIONS) and stem.startswith(folder.removesuffix(_REGIONS))
    return is_of_isic or is_lesion_of_ph2 or is_region_of_ph2
