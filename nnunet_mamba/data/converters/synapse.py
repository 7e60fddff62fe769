"""Convert the abdominal CT of Synapse (BTCV, Beyond the Cranial Vault) for nnU-Net.

Two forms are in circulation. The original::

    RawData/Training/img/img0001.nii.gz
    RawData/Training/label/label0001.nii.gz

and TransUNet's, preprocessed::

    train_npz/case0005_slice000.npz      (arrays image and label)
    test_vol_h5/case0001.npy.h5          (the same, whole volumes)

``imgNNNN`` and ``caseNNNN`` are the same patient. Nothing in TransUNet's files says how their organs are numbered.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.synapse_organs import OrganNumbers
from nnunet_mamba.data.converters.synapse_transunet import H5, NPZ, TransUNetConverter
from nnunet_mamba.data.converters.synapse_transunet_names import slice_number, stack_problems, transunet_case
from nnunet_mamba.data.converters.synapse_volumes import SPACING_LIMITS, CtConverter, ct_description
from nnunet_mamba.data.problems import Problem
from nnunet_mamba.data.sources.filename_patterns import OTHER_IMAGE_ENDINGS
from nnunet_mamba.data.sources.folder_walk import visible_entries
from nnunet_mamba.data.writing.conversion_record import ConversionRecord
from nnunet_mamba.data.writing.raw_dataset import CaseConverter, Conversion, write_prediction_images, write_raw_dataset
from nnunet_mamba.data.writing.run_options import RunOptions

RAW_DATA_NUMBERS = {
    "spleen": 1,
    "right_kidney": 2,
    "left_kidney": 3,
    "gallbladder": 4,
    "oesophagus": 5,
    "liver": 6,
    "stomach": 7,
    "aorta": 8,
    "inferior_vena_cava": 9,
    "portal_and_splenic_veins": 10,
    "pancreas": 11,
    "right_adrenal_gland": 12,
    "left_adrenal_gland": 13,
}
PAPERS_ORGANS = ("aorta", "gallbladder", "left_kidney", "right_kidney", "liver", "pancreas", "spleen", "stomach")
NUMBERINGS = ("alphabetical", "btcv")

_RAW_FOLDERS = ("", "Training", "RawData", "RawData/Training", "Abdomen/RawData/Training")
_TRANSUNET_FOLDERS = ("train_npz", "test_vol_h5")


@dataclass(frozen=True, kw_only=True)
class SynapseFacts:
    """What a data set in Synapse's layout is called, its organs, and what TransUNet's files do not say.

    The spacing lies between those of the original files: 0.54 to 0.98 mm in plane, slices of 2.5 to 5 mm.

    Args:
        name: of the converter, which its record of a conversion keeps.
        raw_data_numbers: of all organs, in the original labels.
        papers_organs: those that the papers score and TransUNet's files hold, in the order of nnU-Net's numbers.
        slice_thickness: mm, of TransUNet's files.
        pixel_spacing: mm in plane, of TransUNet's files.
    """

    name: str = "Dataset104_Synapse"
    raw_data_numbers: Mapping[str, int] = field(default_factory=lambda: RAW_DATA_NUMBERS)
    papers_organs: tuple[str, ...] = PAPERS_ORGANS
    slice_thickness: float = 3.0
    pixel_spacing: float = 0.76

    def transunet_numbers(self, numbering: str) -> dict[str, int]:
        """Return the numbers of the organs in TransUNet's files.

        Args:
            numbering: "alphabetical" for the files that its authors give away; "btcv" for scripts that make such files
                anew, which keep the order of the original numbers.
        """
        of_raw_data = sorted(self.papers_organs, key=self.raw_data_numbers.__getitem__)
        organs = self.papers_organs if numbering == "alphabetical" else of_raw_data
        return {organ: number for number, organ in enumerate(organs, start=1)}


@dataclass(frozen=True, kw_only=True)
class SynapseOptions:
    """Options of the conversion.

    Args:
        organs: 8, those of the papers, or 13, all of the original labels.
        label_numbering: one of NUMBERINGS; TransUNet's files need it, others have none.
        pixel_spacing: mm in plane, of TransUNet's files; None takes that of the facts.
        slice_thickness: mm, of TransUNet's files; None takes that of the facts.
        sigmoid: declare every organ as a region, so that nnU-Net trains a sigmoid output for each with BCE and Dice.
        run: how to run the conversion.
        facts: names and organs of the data set, and its usual spacing.

    Raises:
        ValueError: a value that is not one of these.
    """

    organs: int = 8
    label_numbering: str | None = None
    pixel_spacing: float | None = None
    slice_thickness: float | None = None
    sigmoid: bool = False
    run: RunOptions = field(default_factory=RunOptions)
    facts: SynapseFacts = field(default_factory=SynapseFacts)

    def __post_init__(self) -> None:
        for name, value, known in (
            ("organs", self.organs, (8, 13)),
            ("label_numbering", self.label_numbering, (None, *NUMBERINGS)),
        ):
            if value not in known:
                raise ValueError(f"`{name}={value}`: expected {' or '.join(str(one) for one in known if one)}")
        lowest, highest = SPACING_LIMITS
        for name, spacing in (("pixel_spacing", self.pixel_spacing), ("slice_thickness", self.slice_thickness)):
            if spacing is not None and not lowest <= spacing <= highest:
                raise ValueError(f"`{name}={spacing}`: expected {lowest:g} to {highest:g} mm")

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Mm, (z, y, x), of TransUNet's files."""
        in_plane = self.pixel_spacing or self.facts.pixel_spacing
        return self.slice_thickness or self.facts.slice_thickness, in_plane, in_plane


@dataclass(frozen=True, kw_only=True)
class SynapseCases:
    """What was found in a folder.

    Args:
        cases: all of them; training cases if they have a label.
        problems: what is wrong with the names.
        converter: for one case.
        numbers: of the organs.
        recorded: options that decide the bytes written, for the record.
    """

    cases: Sequence[Case]
    problems: Sequence[Problem]
    converter: CaseConverter
    numbers: OrganNumbers
    recorded: dict[str, Any]


def find_cases(folder: Path, options: SynapseOptions, *, is_labelled: bool = True) -> SynapseCases:
    """Find the cases in a folder of either form.

    Args:
        folder: one of those above, or one that holds it.
        options: of the conversion.
        is_labelled: whether the labels are wanted; without them images may lie in the folder itself.

    Raises:
        ValueError: no cases, both forms, or options that the form has not.
        NotADirectoryError: ``folder`` is not a folder.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder; expected one that holds RawData or train_npz")
    raw = [folder / name for name in _RAW_FOLDERS if (folder / name / "img").is_dir()]
    if not raw and not is_labelled and _files(folder, _IMAGE_NAME):
        raw = [folder]
    preprocessed = [folder / name for name in _TRANSUNET_FOLDERS if (folder / name).is_dir()]
    if len(raw) + bool(preprocessed) > 1:
        places = ", ".join(str(path) for path in (*raw, *preprocessed))
        raise ValueError(f"{folder} holds the data set more than once ({places}); name one of these folders")
    if not raw and not preprocessed:
        raise ValueError(
            f"no cases in {folder}: expected RawData/Training with img and label, or train_npz and test_vol_h5; name "
            "the folder that holds them"
        )
    found = (
        _raw_cases(raw[0], options, is_labelled=is_labelled)
        if raw
        else _transunet_cases(preprocessed, options, is_labelled=is_labelled)
    )
    if not found.cases and not found.problems:
        raise ValueError(f"no cases in {(raw or preprocessed)[0]}: expected img0001.nii.gz, or case0005_slice000.npz")
    return found


_IMAGE_NAME = re.compile(r"img(\d+)\.nii(\.gz)?")
_LABEL_NAME = re.compile(r"label(\d+)\.nii(\.gz)?")


def _raw_cases(folder: Path, options: SynapseOptions, *, is_labelled: bool) -> SynapseCases:
    if any((options.label_numbering, options.pixel_spacing, options.slice_thickness)):
        raise ValueError(
            f"`label_numbering`, `pixel_spacing` and `slice_thickness` are of TransUNet's files, and {folder} holds "
            "the original ones, which tell it themselves; leave them out"
        )
    images, problems = _by_number(_files(folder / "img" if (folder / "img").is_dir() else folder, _IMAGE_NAME))
    labels: dict[str, Path] = {}
    if is_labelled:
        if not (folder / "label").is_dir():
            raise ValueError(
                f"no folder {folder / 'label'}: nnU-Net cannot be trained without labels; prepare images for "
                "prediction with `images_only=OUT`"
            )
        labels, label_problems = _by_number(_files(folder / "label", _LABEL_NAME))
        problems += label_problems
        # The checks look for the missing file of a pair where it belongs, and report it.
        for case in images.keys() ^ labels.keys():
            images.setdefault(case, folder / "img" / f"img{case[4:]}.nii.gz")
            labels.setdefault(case, folder / "label" / f"label{case[4:]}.nii.gz")
    # Images alone may be for a model of 8 organs or of 13; restored masks get the numbers of RawData in both cases.
    facts = options.facts
    organs = facts.papers_organs if is_labelled and options.organs == 8 else tuple(facts.raw_data_numbers)
    numbers = OrganNumbers(organs, facts.raw_data_numbers)
    cases = [_case(identifier, (path,), labels.get(identifier)) for identifier, path in sorted(images.items())]
    return SynapseCases(
        cases=cases,
        problems=problems,
        converter=CtConverter(numbers),
        numbers=numbers,
        recorded={"form": "RawData", "source_labels": numbers.source_labels},
    )


def _files(folder: Path, name: re.Pattern[str]) -> list[tuple[str, Path]]:
    """Return the visible images in ``folder`` with their case, "" for names that ``name`` does not know."""
    found = []
    for path in visible_entries(folder):
        # A link that leads nowhere counts, so that the checks report its missing file.
        if path.name.lower().endswith((".nii", ".nii.gz", *OTHER_IMAGE_ENDINGS)) and not path.is_dir():
            match = name.fullmatch(path.name)
            found.append((f"case{match[1]}" if match else "", path))
    return found


def _by_number(files: Iterable[tuple[str, Path]]) -> tuple[dict[str, Path], list[Problem]]:
    """Index files by case, and report those without and those that share one."""
    found: dict[str, Path] = {}
    problems = []
    for identifier, path in files:
        if not identifier:
            problems.append(
                Problem(path.name, "name without a case, expected img0001.nii.gz or label0001.nii.gz; rename it", path)
            )
        elif identifier in found:
            problems.append(Problem(identifier, f"twice, as {found[identifier].name} too; remove one of them", path))
        else:
            found[identifier] = path
    return found, problems


def _transunet_cases(folders: Sequence[Path], options: SynapseOptions, *, is_labelled: bool) -> SynapseCases:
    if options.organs != 8:
        raise ValueError(f"`organs={options.organs}`: TransUNet's files hold 8, convert RawData for all 13")
    if options.label_numbering is None and is_labelled:
        raise ValueError(
            f"{folders[0]} does not tell how its organs are numbered: give `label_numbering=alphabetical` (1 is the "
            "aorta, the files of TransUNet's authors) or btcv (1 is the spleen, most scripts that make them anew)"
        )
    files: defaultdict[str, list[Path]] = defaultdict(list)
    problems = []
    for path in (path for folder in folders for path in visible_entries(folder)):
        if identifier := transunet_case(path):
            files[identifier].append(path)
        elif path.suffix.lower() in (NPZ, H5):
            text = "name without a case, expected case0005_slice000.npz or case0001.npy.h5; rename it"
            problems.append(Problem(path.name, text, path))
    for identifier, paths in files.items():
        problems += [Problem(identifier, text, paths[0]) for text in stack_problems(paths)]
    facts = options.facts
    numbers = OrganNumbers(facts.papers_organs, facts.transunet_numbers(options.label_numbering or "alphabetical"))
    cases = [
        _case(identifier, tuple(sorted(paths, key=slice_number)), paths[0] if is_labelled else None)
        for identifier, paths in sorted(files.items())
    ]
    return SynapseCases(
        cases=cases,
        problems=problems,
        converter=TransUNetConverter(numbers, options.spacing),
        numbers=numbers,
        recorded={
            "form": "TransUNet",
            "spacing": list(options.spacing),
            **({"source_labels": numbers.source_labels} if options.label_numbering else {}),
        },
    )


def _case(identifier: str, channels: tuple[Path, ...], label: Path | None) -> Case:
    return Case(identifier=identifier, channels=channels, mask=label, is_training=label is not None, group=identifier)


def convert_synapse(source: Path, folder: Path, *, options: SynapseOptions | None = None) -> Conversion:
    """Convert either form of the data set to an nnU-Net raw data set.

    Args:
        source: folder of the data set.
        folder: ``$nnUNet_raw/Dataset104_Synapse``.
        options: None takes the defaults.

    Raises:
        InvalidDatasetError: some cases have problems; nothing has been written.
        ValueError: no cases, or options that the source has not.
        OSError: the folder holds something else, or writing failed.
    """
    options = options or SynapseOptions()
    found = find_cases(source, options)
    return write_raw_dataset(
        found.cases,
        folder,
        ct_description(found.numbers, sigmoid=options.sigmoid),
        converter=found.converter,
        record=ConversionRecord.of(options.facts.name, {**found.recorded, "sigmoid": options.sigmoid}, found.cases),
        problems=found.problems,
        options=options.run,
    )


def prepare_synapse_images(source: Path, folder: Path, *, options: SynapseOptions | None = None) -> Conversion:
    """Prepare images without labels for ``nnUNetv2_predict``, as the training images were.

    Args:
        source: folder of the images.
        folder: input folder of the prediction.
        options: None takes the defaults.

    Raises:
        InvalidDatasetError: some images have problems; nothing has been written.
        ValueError: no images, or options that the source has not.
        OSError: the folder holds something else, or writing failed.
    """
    options = options or SynapseOptions()
    found = find_cases(source, options, is_labelled=False)
    return write_prediction_images(
        found.cases,
        folder,
        ct_description(found.numbers),
        converter=found.converter,
        record=ConversionRecord.of(options.facts.name, {**found.recorded, "images_only": True}, found.cases),
        problems=found.problems,
        options=options.run,
    )
