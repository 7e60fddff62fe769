"""Convert ISIC 2016, 2017 or 2018 lesion segmentation (or another data set in its layout) for nnU-Net.

Each challenge part is a folder of photographs and a folder of masks::

    ISBI2016_ISIC_Part1_Training_Data/ISIC_0000000.jpg
    ISBI2016_ISIC_Part1_Training_GroundTruth/ISIC_0000000_Segmentation.png
    ISIC-2017_Training_Data/ISIC_0000000.jpg                (beside ISIC_0000000_superpixels.png)
    ISIC-2017_Training_Part1_GroundTruth/ISIC_0000000_segmentation.png
    ISIC2018_Task1-2_Training_Input/ISIC_0000000.jpg        (beside texts)
    ISIC2018_Task1_Training_GroundTruth/ISIC_0000000_segmentation.png

A folder that holds the parts of one challenge, unpacked or as zip archives, is taken as a whole. Folders called
``images`` and ``masks`` are known too, and masks may have the name of their image alone.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.binary_mask_photographs import (
    PhotographConverter,
    PhotographOptions,
    photograph_description,
)
from nnunet_mamba.data.converters.isic_parts import (
    MASK_SUFFIX,
    OTHER_SUFFIXES,
    TEST,
    TRAINING,
    find_parts,
    log_parts,
    one_challenge,
    unwrapped,
)
from nnunet_mamba.data.problems import Problem
from nnunet_mamba.data.sources.group_table import GroupTable, recorded_groups
from nnunet_mamba.data.sources.pairing import list_images, pair_images_with_masks
from nnunet_mamba.data.sources.parts import joined_parts
from nnunet_mamba.data.splits.published_splits import PUBLISHED_SIZES
from nnunet_mamba.data.writing.conversion_record import ConversionRecord
from nnunet_mamba.data.writing.raw_dataset import Conversion, write_prediction_images, write_raw_dataset

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class IsicFacts:
    """What a data set in ISIC's layout is called, and how its files are named.

    Args:
        name: of the converter, which its record of a conversion keeps.
        foreground: name of the label.
        mask_suffix: what a mask's name has after that of its image, in small letters.
        other_suffixes: how the names of pictures end that are neither photographs nor masks.
    """

    name: str = "Dataset101_ISIC"
    foreground: str = "lesion"
    mask_suffix: str = MASK_SUFFIX
    other_suffixes: tuple[str, ...] = OTHER_SUFFIXES

    def photographs_in(self, folder: Path) -> list[Path]:
        """Return the photographs in a folder, without the masks and other pictures beside them."""
        return list_images(folder, ignored_suffixes=(*self.other_suffixes, self.mask_suffix))


@dataclass(frozen=True, kw_only=True)
class IsicOptions(PhotographOptions):
    """Options of the conversion.

    Args:
        groups: which photographs show one patient or lesion; None makes every photograph a group of its own.
        facts: names of the data set and of its files.
    """

    groups: GroupTable | None = None
    facts: IsicFacts = field(default_factory=IsicFacts)


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
    folder = unwrapped(folder)
    if list_images(folder):
        return folder, None
    parts = [part for part in find_parts(folder) if part.images.is_dir()]
    pairs = [part for part in parts if part.masks is not None]
    if len(pairs) > 1:
        listed = "\n".join(f"  {part.images} {part.masks}" for part in pairs)
        raise ValueError(f"{folder} holds {len(pairs)} pairs of image and mask folders, name one of them:\n{listed}")
    if pairs:
        return pairs[0].images, pairs[0].masks
    return (parts[0].images, None) if len(parts) == 1 else (folder, None)


def places_of_challenge(folder: Path, *, split: str, given: Mapping[str, Path | None]) -> dict[str, Path | None]:
    """Return where the parts of the challenge in ``folder`` are; they may be zip archives.

    Args:
        folder: holds the folders or archives of several parts, named as ISIC names them.
        split: a published one draws its own test cases, so it gets no test part.
        given: arguments of ``convert_isic``; a part that is among them is not taken from ``folder``.

    Returns:
        Arguments of ``convert_isic``; none if ``folder`` holds images itself, or no parts with masks.

    Raises:
        ValueError: several challenges, or no training part with masks.
        NotADirectoryError: ``folder`` is not a folder.
    """
    folder = unwrapped(folder)
    parts = [] if list_images(folder) else find_parts(folder)
    if not any(part.masks for part in parts):
        return {}
    found = one_challenge(parts, folder)
    if TEST in found and split in PUBLISHED_SIZES:
        _log.info("%s is left out: `split=%r` draws its own test cases", found.pop(TEST).images, split)
    found = {role: part for role, part in found.items() if not given.get(f"{role}_images")}
    log_parts(found)
    places: dict[str, Path | None] = {}
    for role, part in found.items():
        prefix = "" if role == TRAINING else f"{role}_"
        places |= {f"{prefix}images": part.images, f"{prefix}masks": part.masks}
    return places


def find_cases(
    images: Path, masks: Path | None, *, is_training: bool, options: IsicOptions
) -> tuple[list[Case], list[Problem]]:
    """Find the photographs and masks of one challenge part.

    Args:
        images: folder of the photographs, or of one pair of subfolders.
        masks: folder of the masks; None looks for them in ``images``.
        is_training: whether cases with masks are training cases.
        options: how files are named, and what to do with images without masks and masks without images.

    Returns:
        The cases, and what is wrong with the names.

    Raises:
        ValueError: no images; or no mask at all for training cases.
        NotADirectoryError: not a folder.
    """
    facts = options.facts
    found_masks = None if masks is None else unwrapped(masks)
    images = unwrapped(images)
    if masks is None:
        images, found_masks = find_folders(images)
    photographs = facts.photographs_in(images)
    if not photographs:
        endings = sorted({path.suffix or "no ending" for path in images.iterdir() if path.is_file()})
        there = f"only files ending in {', '.join(endings)}" if endings else "no files"
        raise ValueError(f"no photographs in {images}: {there}; expected .jpg, .png, .bmp, .tif or .webp files")
    if found_masks is not None:
        mask_files = list_images(found_masks, ignored_suffixes=facts.other_suffixes)
    else:
        # Photographs and masks in one folder.
        mask_files = [path for path in list_images(images) if path.stem.lower().endswith(facts.mask_suffix)]
    if not mask_files and (is_training or masks is not None):
        raise ValueError(
            f"no masks in {found_masks or images}: nnU-Net cannot be trained without; give the folder of the masks "
            "as second argument, or prepare photographs for prediction with `images_only=OUT`"
        )
    return pair_images_with_masks(
        photographs,
        mask_files,
        mask_suffix=facts.mask_suffix,
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
        images: folder of the training photographs, or one that holds the folders of a challenge's parts, of which
            the validation part becomes training cases too, and the test part test cases.
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
    if masks is None:
        given = {"validation_images": validation_images, "test_images": test_images}
        found = places_of_challenge(images, split=options.run.split, given=given)
        images, masks = found.get("images") or images, found.get("masks")
        if "validation_images" in found:
            validation_images, validation_masks = found["validation_images"], found["validation_masks"]
        if "test_images" in found:
            test_images, test_masks = found["test_images"], found["test_masks"]
    parts = {"training": find_cases(images, masks, is_training=True, options=options)}
    if validation_images is not None:
        parts["validation"] = _validation_part(validation_images, validation_masks, options)
    if test_images is not None:
        parts["test"] = find_cases(test_images, test_masks, is_training=False, options=options)
    cases, problems = joined_parts(parts)
    facts = options.facts
    recorded = options.recorded(facts.foreground)
    if options.groups is not None:
        cases, group_problems = options.groups.assign(cases)
        problems += group_problems
        recorded |= recorded_groups(cases)
    return write_raw_dataset(
        cases,
        folder,
        photograph_description(facts.foreground, sigmoid=options.sigmoid),
        converter=PhotographConverter(size=options.size, allow_empty_masks=options.allow_empty_masks),
        record=ConversionRecord.of(facts.name, recorded, cases),
        problems=problems,
        options=options.run,
    )


def _validation_part(images: Path, masks: Path | None, options: IsicOptions) -> tuple[list[Case], list[Problem]]:
    cases, problems = find_cases(images, masks, is_training=True, options=options)
    return [replace(case, is_validation=True) for case in cases], problems


def prepare_isic_images(images: Path, folder: Path, *, options: IsicOptions | None = None) -> Conversion:
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
    options = options or IsicOptions()
    facts = options.facts
    images, _ = find_folders(images)
    photographs = facts.photographs_in(images)
    if not photographs:
        raise ValueError(f"no photographs in {images}; expected .jpg, .png, .bmp, .tif or .webp files")
    cases, problems = pair_images_with_masks(photographs, [], mask_suffix=facts.mask_suffix, is_training=False)
    return write_prediction_images(
        cases,
        folder,
        photograph_description(facts.foreground, sigmoid=False),
        converter=PhotographConverter(size=options.size),
        record=ConversionRecord.of(facts.name, {**options.recorded(facts.foreground), "images_only": True}, cases),
        problems=problems,
        options=options.run,
    )
