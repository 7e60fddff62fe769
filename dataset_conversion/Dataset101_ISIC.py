"""Convert ISIC 2016, 2017 or 2018 lesion segmentation (or another data set in its layout) for nnU-Net.

Each challenge part is a folder of photographs and a folder of masks::

    ISBI2016_ISIC_Part1_Training_Data/ISIC_0000000.jpg
    ISBI2016_ISIC_Part1_Training_GroundTruth/ISIC_0000000_Segmentation.png
    ISIC-2017_Training_Data/ISIC_0000000.jpg                (beside ISIC_0000000_superpixels.png)
    ISIC-2017_Training_Part1_GroundTruth/ISIC_0000000_segmentation.png
    ISIC2018_Task1-2_Training_Input/ISIC_0000000.jpg        (beside texts)
    ISIC2018_Task1_Training_GroundTruth/ISIC_0000000_segmentation.png

Folders called ``images`` and ``masks`` are known too, and masks may have the name of their image alone.

Run ``python Dataset101_ISIC.py --help``, or ``nnunet-mamba convert isic --help``, which is the same.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.checks import Problem
from nnunet_mamba.data.group_table import GroupTable, recorded_groups
from nnunet_mamba.data.pairing import list_images, pair_images_with_masks
from nnunet_mamba.data.parts import joined_parts
from nnunet_mamba.data.photographs import PhotographConverter, PhotographOptions, photograph_description
from nnunet_mamba.data.raw_dataset import Conversion, write_prediction_images, write_raw_dataset
from nnunet_mamba.data.recipe import Recipe

NAME = "Dataset101_ISIC"
FOREGROUND = "lesion"
MASK_SUFFIX = "_segmentation"
# Over-segmentations that ISIC 2017 puts beside its photographs.
NEITHER_IMAGE_NOR_MASK = ("_superpixels",)
_IMAGE_FOLDERS = ("images", "image")
_MASK_FOLDERS = ("masks", "mask", "groundtruth", "ground_truth")
# Part 1 of 2016 and 2017 and Task 1 of 2018 are lesion segmentation; other parts hold other images and ground truth.
_OTHER_TASKS = re.compile(r"part[^1]|task[^1]")


@dataclass(frozen=True, kw_only=True)
class IsicOptions(PhotographOptions):
    """Options of the conversion.

    Args:
        groups: which photographs show one patient or lesion; None makes every photograph a group of its own.
    """

    groups: GroupTable | None = None


def find_folders(folder: Path) -> tuple[Path, Path | None]:
    """Return the folders of the photographs and of the masks in ``folder``.

    Args:
        folder: holds images itself, or one pair of subfolders named as ISIC names them.

    Returns:
        Both folders; the second is None if there is no folder of masks.

    Raises:
        ValueError: several pairs of subfolders: which of them is meant?
        NotADirectoryError: ``folder`` is not a folder.
    """
    if list_images(folder):
        return folder, None
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for subfolder in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        name = subfolder.name.lower()
        if _OTHER_TASKS.search(name):
            continue
        if name in _IMAGE_FOLDERS or name.endswith(("_data", "_input")):
            images[_part_of(name)] = subfolder
        elif name in _MASK_FOLDERS or name.endswith("groundtruth"):
            masks[_part_of(name)] = subfolder
    pairs = [(images[part], masks[part]) for part in images if part in masks]
    if len(pairs) > 1:
        listed = "\n".join(f"  {image_folder} {mask_folder}" for image_folder, mask_folder in pairs)
        raise ValueError(
            f"{folder} holds {len(pairs)} pairs of image and mask folders; name one pair, and give a test part with "
            f"--test-images and --test-masks:\n{listed}"
        )
    if pairs:
        return pairs[0]
    return (next(iter(images.values())), None) if len(images) == 1 else (folder, None)


def _part_of(folder_name: str) -> str:
    """Return what the folders of one challenge part have in common, such as ``isic2018 training``."""
    if folder_name in (*_IMAGE_FOLDERS, *_MASK_FOLDERS):
        return ""
    words = re.split(r"[_ ]", folder_name)
    return " ".join(word for word in words[:-1] if not re.match(r"(part|task)\d", word))


def find_cases(
    images: Path, masks: Path | None, *, is_training: bool, options: PhotographOptions
) -> tuple[list[Case], list[Problem]]:
    """Find the photographs and masks of one challenge part.

    Args:
        images: folder of the photographs, or of one pair of subfolders.
        masks: folder of the masks; None looks for them in ``images``.
        is_training: whether cases with masks are training cases.
        options: what to do with images without masks and masks without images.

    Returns:
        The cases, and what is wrong with the names.

    Raises:
        ValueError: no images; or no mask at all for training cases.
        NotADirectoryError: not a folder.
    """
    found_masks = masks
    if masks is None:
        images, found_masks = find_folders(images)
    photographs = list_images(images, ignored_suffixes=(*NEITHER_IMAGE_NOR_MASK, MASK_SUFFIX))
    if not photographs:
        endings = sorted({path.suffix or "no ending" for path in images.iterdir() if path.is_file()})
        there = f"only files ending in {', '.join(endings)}" if endings else "no files"
        raise ValueError(f"no photographs in {images}: {there}; expected .jpg, .png, .bmp, .tif or .webp files")
    if found_masks is not None:
        mask_files = list_images(found_masks, ignored_suffixes=NEITHER_IMAGE_NOR_MASK)
    else:
        # Photographs and masks in one folder.
        mask_files = [path for path in list_images(images) if path.stem.lower().endswith(MASK_SUFFIX)]
    if not mask_files and (is_training or masks is not None):
        raise ValueError(
            f"no masks in {found_masks or images}: nnU-Net cannot be trained without; give the folder of the masks "
            "as second argument, or prepare photographs for prediction with --images-only OUT"
        )
    return pair_images_with_masks(
        photographs,
        mask_files,
        mask_suffix=MASK_SUFFIX,
        is_training=is_training,
        allow_missing_masks=options.allow_missing_masks,
        allow_missing_images=options.allow_missing_images,
    )


def convert_isic(
    images: Path,
    masks: Path | None,
    folder: Path,
    *,
    validation_images: Path | None = None,
    validation_masks: Path | None = None,
    test_images: Path | None = None,
    test_masks: Path | None = None,
    options: IsicOptions | None = None,
) -> Conversion:
    """Convert an ISIC training part, and a validation and a test part if there are, to an nnU-Net raw data set.

    Args:
        images: folder of the training photographs, or of one pair of subfolders.
        masks: folder of their masks; None looks for them in ``images``.
        folder: ``$nnUNet_raw/Dataset101_ISIC``.
        validation_images: photographs of a validation part, which become training cases too, as in the papers; its
            folds come from the split.
        validation_masks: their masks.
        test_images: the same for imagesTs.
        test_masks: the same for labelsTs.
        options: None takes the defaults.

    Raises:
        InvalidDatasetError: some cases have problems; nothing has been written.
        ValueError: no images or masks, or groups of other images.
        OSError: the folder holds something else, or writing failed.
    """
    options = options or IsicOptions()
    parts = {"training": find_cases(images, masks, is_training=True, options=options)}
    for part, part_images, part_masks in (
        ("validation", validation_images, validation_masks),
        ("test", test_images, test_masks),
    ):
        if part_images is not None:
            parts[part] = find_cases(part_images, part_masks, is_training=part != "test", options=options)
    cases, problems = joined_parts(parts)
    recorded = options.recorded(FOREGROUND)
    if options.groups is not None:
        cases, group_problems = options.groups.assign(cases)
        problems += group_problems
        recorded |= recorded_groups(cases)
    return write_raw_dataset(
        cases,
        folder,
        photograph_description(FOREGROUND, sigmoid=options.sigmoid),
        converter=PhotographConverter(size=options.size, allow_empty_masks=options.allow_empty_masks),
        recipe=Recipe.of(NAME, recorded, cases),
        problems=problems,
        options=options.run,
    )


def prepare_isic_images(images: Path, folder: Path, *, options: PhotographOptions | None = None) -> Conversion:
    """Prepare photographs without masks for ``nnUNetv2_predict``, as the training images were.

    Args:
        images: folder of the photographs.
        folder: input folder of the prediction.
        options: ``size`` must be that of the training data; None takes the defaults.

    Raises:
        InvalidDatasetError: some images have problems; nothing has been written.
        ValueError: no images.
        OSError: the folder holds something else, or writing failed.
    """
    options = options or PhotographOptions()
    images, _ = find_folders(images)
    photographs = list_images(images, ignored_suffixes=(*NEITHER_IMAGE_NOR_MASK, MASK_SUFFIX))
    if not photographs:
        raise ValueError(f"no photographs in {images}; expected .jpg, .png, .bmp, .tif or .webp files")
    cases, problems = pair_images_with_masks(photographs, [], mask_suffix=MASK_SUFFIX, is_training=False)
    return write_prediction_images(
        cases,
        folder,
        photograph_description(FOREGROUND, sigmoid=False),
        converter=PhotographConverter(size=options.size),
        recipe=Recipe.of(NAME, {**options.recorded(FOREGROUND), "images_only": True}, cases),
        problems=problems,
        options=options.run,
    )


if __name__ == "__main__":
    from nnunet_mamba.cli.convert.isic import isic
    from nnunet_mamba.cli.convert.shared import run_as_script

    run_as_script(isic, sys.modules[__name__])
