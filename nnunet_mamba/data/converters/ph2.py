"""Convert PH2, dermoscopy of 200 naevi and melanomas, for nnU-Net.

Every case is a folder of folders; only two of the pictures in it are used::

    PH2 Dataset images/IMD002/IMD002_Dermoscopic_Image/IMD002.bmp
    PH2 Dataset images/IMD002/IMD002_lesion/IMD002_lesion.bmp       (1 bit per pixel)
    PH2 Dataset images/IMD002/IMD002_roi/IMD002_R1_Label4.bmp       (colours of regions, not used)
"""

from dataclasses import dataclass, field
from pathlib import Path

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.binary_mask_photographs import (
    PhotographConverter,
    PhotographOptions,
    photograph_description,
)
from nnunet_mamba.data.problems import Problem, same_name
from nnunet_mamba.data.sources.filename_patterns import FilenamePattern
from nnunet_mamba.data.sources.pairing import pair_found_files
from nnunet_mamba.data.writing.conversion_record import ConversionRecord
from nnunet_mamba.data.writing.raw_dataset import Conversion, write_prediction_images, write_raw_dataset

IMAGES = FilenamePattern("{case}/{case}_Dermoscopic_Image/{case}")
MASKS = FilenamePattern("{case}/{case}_lesion/{case}_lesion")
# Masks in the folder of a case, whatever case they are of.
ANY_MASKS = FilenamePattern("{group}/{group}_lesion/{case}_lesion")
# The archive PH2Dataset.rar holds PH2Dataset/PH2 Dataset images/.
INNER_FOLDERS = ("", "PH2 Dataset images", "PH2Dataset/PH2 Dataset images")


@dataclass(frozen=True, kw_only=True)
class Ph2Facts:
    """What a data set in PH2's layout is called.

    Args:
        name: of the converter, which its record of a conversion keeps.
        foreground: name of the label.
    """

    name: str = "Dataset102_PH2"
    foreground: str = "lesion"


@dataclass(frozen=True, kw_only=True)
class Ph2Options(PhotographOptions):
    """Options of the conversion.

    Args:
        facts: names of the data set.
    """

    facts: Ph2Facts = field(default_factory=Ph2Facts)


def find_cases(source: Path, *, as_test: bool, options: PhotographOptions) -> tuple[list[Case], list[Problem]]:
    """Find the photographs and masks of PH2.

    Args:
        source: the folder that the archive was unpacked to, or one of those in it.
        as_test: make test cases of all.
        options: what to do with images without masks and masks without images.

    Returns:
        The cases, and what is wrong with the names.

    Raises:
        ValueError: no photographs or no masks.
        NotADirectoryError: not a folder.
    """
    if not source.is_dir():
        raise NotADirectoryError(f"{source} is not a folder; expected one that holds 'PH2 Dataset images'")
    for folder in (source / inner for inner in INNER_FOLDERS if (source / inner).is_dir()):
        images, masks = IMAGES.find(folder), MASKS.find(folder)
        if images and masks:
            cases, problems = pair_found_files(
                images,
                masks,
                channels=None,
                is_training=not as_test,
                allow_missing_masks=options.allow_missing_masks,
                allow_missing_images=options.allow_missing_images,
            )
            # The patterns of images and masks look into the same folders.
            return cases, [*problems, *IMAGES.lost(folder), *_misplaced_masks(folder)]
        if images or masks:
            missing = MASKS if images else IMAGES
            raise ValueError(f"no file {missing.text}.bmp in {folder}; unpack the archive again")
    raise ValueError(
        f"PH2 is not in {source}: no file {IMAGES.text}.bmp below it; give the folder that PH2Dataset.rar was "
        "unpacked to"
    )


def _misplaced_masks(folder: Path) -> list[Problem]:
    """Report the masks that lie in the folder of another case."""
    return [
        Problem(
            found.group,
            f"{found.path.name} in its folder, expected {found.group}_lesion.bmp; is it the mask of another image?",
            found.path,
        )
        for found in ANY_MASKS.find(folder)
        if found.group is not None and same_name(found.group) != same_name(found.case)
    ]


def convert_ph2(source: Path, folder: Path, *, as_test: bool = False, options: Ph2Options | None = None) -> Conversion:
    """Convert PH2 to an nnU-Net raw data set.

    Args:
        source: the folder that the archive was unpacked to, or one of those in it.
        folder: ``$nnUNet_raw/Dataset102_PH2``.
        as_test: all cases go to imagesTs and labelsTs, to test networks that were trained on other data, as in the
            skin papers; otherwise all are training cases.
        options: None takes the defaults.

    Raises:
        InvalidDatasetError: some cases have problems; nothing has been written.
        ValueError: PH2 is not there.
        OSError: the folder holds something else, or writing failed.
    """
    options = options or Ph2Options()
    foreground = options.facts.foreground
    cases, problems = find_cases(source, as_test=as_test, options=options)
    return write_raw_dataset(
        cases,
        folder,
        photograph_description(foreground, sigmoid=options.sigmoid),
        converter=PhotographConverter(size=options.size, allow_empty_masks=options.allow_empty_masks),
        record=ConversionRecord.of(options.facts.name, options.recorded(foreground), cases),
        problems=problems,
        options=options.run,
    )


def prepare_ph2_images(source: Path, folder: Path, *, options: Ph2Options | None = None) -> Conversion:
    """Prepare the photographs of PH2 for ``nnUNetv2_predict``, as the training images were.

    Args:
        source: the folder that the archive was unpacked to, or one of those in it.
        folder: input folder of the prediction.
        options: ``size`` must be that of the training data; None takes the defaults.

    Raises:
        InvalidDatasetError: some images have problems; nothing has been written.
        ValueError: PH2 is not there.
        OSError: the folder holds something else, or writing failed.
    """
    options = options or Ph2Options()
    foreground = options.facts.foreground
    cases, problems = find_cases(source, as_test=True, options=options)
    cases = [Case(identifier=case.identifier, channels=case.channels, is_training=False) for case in cases]
    return write_prediction_images(
        cases,
        folder,
        photograph_description(foreground, sigmoid=False),
        converter=PhotographConverter(size=options.size),
        record=ConversionRecord.of(options.facts.name, {**options.recorded(foreground), "images_only": True}, cases),
        problems=problems,
        options=options.run,
    )
