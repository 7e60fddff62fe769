"""Convert the lower-grade gliomas of TCGA (Kaggle's lgg-mri-segmentation) for nnU-Net.

A folder for every patient, in it a picture for every slice and a mask for every picture::

    kaggle_3m/TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_1.tif         (RGB: pre-contrast, FLAIR, post-contrast)
    kaggle_3m/TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_1_mask.tif    (0 and 255)
    kaggle_3m/data.csv                                                  (not needed)

Slices are numbered from 1, without zeros in front. The archive holds the whole tree twice, in ``kaggle_3m`` and in
``lgg-mri-segmentation/kaggle_3m``; one of them is taken.

Run ``python Dataset103_LGG.py --help``, or ``nnunet-mamba convert lgg --help``, which is the same.
"""

import csv
import filecmp
import json
import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.lgg_slices import (
    FLAIR,
    LARGEST_SPACING,
    MASK_SUFFIX,
    SEQUENCES,
    SliceConverter,
    StackConverter,
    mask_of,
)
from nnunet_mamba.data.formats.file_endings import PICTURE_ENDINGS
from nnunet_mamba.data.formats.image_files import Shape
from nnunet_mamba.data.formats.label_values import LabelValues
from nnunet_mamba.data.problems import Problem
from nnunet_mamba.data.sources.filename_patterns import OTHER_IMAGE_ENDINGS
from nnunet_mamba.data.sources.folder_walk import is_broken_link, lost_folder, visible_entries
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE, ConversionRecord
from nnunet_mamba.data.writing.raw_dataset import (
    Conversion,
    DatasetDescription,
    write_prediction_images,
    write_raw_dataset,
)
from nnunet_mamba.data.writing.run_options import RunOptions
from nnunet_mamba.system.atomic import replacing

NAME = "Dataset103_LGG"
MISSING_SEQUENCES = "missing_sequences.csv"
TIFF = (".tif", ".tiff")
TREES = (".", "kaggle_3m", "lgg-mri-segmentation/kaggle_3m")
# The files have no spacing. These are usual for axial FLAIR, and one spacing for all keeps nnU-Net from resampling.
SLICE_THICKNESS = 5.0
PIXEL_SPACING = 1.0
_LABELS = LabelValues.of({"background": 0, "tumour": 255})
_PATIENT_START = "TCGA_"
# As dates come last in a scan's name, what is before them is the patient.
_SCAN = re.compile(r"(?P<patient>TCGA_[A-Za-z0-9]+_[A-Za-z0-9]+)(_[0-9]{8})?")
_SLICE = re.compile(rf"(?P<scan>.+)_(?P<number>[0-9]+)(?P<mask>{MASK_SUFFIX})?")


@dataclass(frozen=True, kw_only=True)
class LggOptions:
    """Options of the conversion.

    Args:
        as_volumes: a case is a scan of a patient; otherwise it is a slice.
        slice_thickness: mm from slice to slice, of volumes.
        pixel_spacing: mm from pixel to pixel, of volumes.
        size: (y, x) to which slices that are cases are resized; None keeps the size.
        sigmoid: declare the tumour as a region, so that nnU-Net trains one sigmoid output with BCE and Dice.
        run: how to run the conversion.

    Raises:
        ValueError: a size for volumes, or a spacing that is no length.
    """

    as_volumes: bool = True
    slice_thickness: float = SLICE_THICKNESS
    pixel_spacing: float = PIXEL_SPACING
    size: Shape | None = None
    sigmoid: bool = False
    run: RunOptions = field(default_factory=RunOptions)

    def __post_init__(self) -> None:
        for name, spacing in (("--slice-thickness", self.slice_thickness), ("--pixel-spacing", self.pixel_spacing)):
            if not (math.isfinite(spacing) and 0 < spacing <= LARGEST_SPACING):
                raise ValueError(f"{name} {spacing:g}: expected more than 0, {LARGEST_SPACING:g} mm at most")
        if self.as_volumes and self.size is not None:
            raise ValueError(
                f"--size {self.size[0]}x{self.size[1]} is for --as slices; nnU-Net brings volumes to one spacing by "
                "itself, leave it out"
            )

    def recorded(self) -> dict[str, Any]:
        """Return the options that decide the bytes of images, for the record."""
        values = {"source_labels": _LABELS.recorded()}
        if self.as_volumes:
            spacing = {"slice_thickness": self.slice_thickness, "pixel_spacing": self.pixel_spacing}
            return {"as": "volumes", **spacing, **values}
        size = "original" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        return {"as": "slices", "size": size, **values}

    def description(self) -> DatasetDescription:
        """Return what dataset.json is to say."""
        labels, order = _LABELS.for_dataset_json(sigmoid=self.sigmoid)
        return DatasetDescription(
            channel_names=SEQUENCES,
            labels=labels,
            file_ending=".nii.gz" if self.as_volumes else ".png",
            reader_writer="SimpleITKIO" if self.as_volumes else "NaturalImage2DIO",
            regions_class_order=order,
            files_per_case=len(SEQUENCES) if self.as_volumes else 1,
        )

    def converter(self) -> StackConverter | SliceConverter:
        """Return what converts a case."""
        if self.as_volumes:
            return StackConverter((self.slice_thickness, self.pixel_spacing, self.pixel_spacing))
        return SliceConverter(self.size)


def find_tree(source: Path) -> tuple[Path, Path | None]:
    """Return the folder that holds the patients' folders.

    Args:
        source: that folder, or one that holds ``kaggle_3m``, as the unpacked archive does.

    Returns:
        The folder, and another one that holds the same files again, if there is one.

    Raises:
        NotADirectoryError: ``source`` is not a folder.
        ValueError: no patients, or two trees that differ.
    """
    if not source.is_dir():
        raise NotADirectoryError(f"{source} is not a folder; expected kaggle_3m or a folder that holds it")
    trees = [source / tree for tree in TREES if any(_scan_folders(source / tree))]
    if not trees:
        raise ValueError(
            f"no patients in {source}: expected folders such as TCGA_CS_4941_19960909 there or in its subfolder "
            "kaggle_3m; unpack the archive and name that folder"
        )
    first, *others = trees
    for other in others:
        if difference := _difference(first, other):
            raise ValueError(
                f"{source} holds two trees that differ in {difference}, expected the same one twice; "
                f"name the one that is meant, {first} or {other}"
            )
    return first, others[0] if others else None


def _scan_folders(tree: Path) -> Iterator[Path]:
    if tree.is_dir():
        yield from (path for path in visible_entries(tree) if path.name.startswith(_PATIENT_START) and path.is_dir())


def _difference(one: Path, other: Path) -> str | None:
    """Return the first file that two trees do not share byte for byte."""
    files = {path.relative_to(tree): path for tree in (one, other) for path in _slice_files_of_tree(tree)}
    for name in sorted(files):
        here, there = one / name, other / name
        if not (here.is_file() and there.is_file() and filecmp.cmp(here, there, shallow=False)):
            return str(name)
    return None


def _slice_files_of_tree(tree: Path) -> Iterator[Path]:
    for folder in _scan_folders(tree):
        yield from _slice_files(folder)


def _slice_files(folder: Path) -> list[Path]:
    """Return the TIFF files of a scan, without hidden ones (macOS writes ``._name.tif``)."""
    return [path for path in visible_entries(folder) if path.suffix.lower() in TIFF and not path.is_dir()]


def _slices_of_other_formats(folder: Path) -> list[Path]:
    """Return the slices of a scan that are no TIFF files and of which no TIFF file lies beside them."""
    stems = {path.stem for path in _slice_files(folder)}
    return [
        path
        for path in visible_entries(folder)
        if path.suffix.lower() in (*PICTURE_ENDINGS, *OTHER_IMAGE_ENDINGS)
        and path.suffix.lower() not in TIFF
        and path.stem not in stems
        and _SLICE.fullmatch(path.stem)
    ]


def find_cases(tree: Path, *, as_volumes: bool, is_labelled: bool = True) -> tuple[list[Case], list[Problem]]:
    """Find the scans, or their slices.

    Args:
        tree: the folder that holds the patients' folders.
        as_volumes: make a case of a scan; otherwise of every slice.
        is_labelled: whether the masks are wanted.

    Returns:
        The cases, and what is wrong with the names. ``channels`` are slices; their masks lie beside them, and
        ``label`` is that of the first.
    """
    cases = []
    problems = []
    for folder in visible_entries(tree):
        if is_broken_link(folder) and not folder.suffix:
            problems.append(lost_folder(folder, below=tree))
        if not folder.is_dir():
            continue
        scan = folder.name
        match = _SCAN.fullmatch(scan)
        if match is None:
            if scan.startswith(_PATIENT_START) or _slice_files(folder):
                text = "expected a name such as TCGA_CS_4941_19960909, letters, digits and '_'; rename or remove it"
                problems.append(Problem(scan, text, folder))
            continue
        slices, found = _slices_of(folder, as_volumes=as_volumes, is_labelled=is_labelled)
        problems += found
        groups = {scan: list(slices.values())} if as_volumes else {_name(scan, n): [p] for n, p in slices.items()}
        cases += [
            Case(
                identifier=identifier,
                channels=tuple(files),
                label=mask_of(files[0]) if is_labelled else None,
                is_training=is_labelled,
                group=match["patient"],
            )
            for identifier, files in groups.items()
            if files
        ]
    return cases, problems


def _name(scan: str, number: int) -> str:
    return f"{scan}_{number:03d}"


def _slices_of(folder: Path, *, as_volumes: bool, is_labelled: bool) -> tuple[dict[int, Path], list[Problem]]:
    """Return the slices of a scan by number, lowest first, and what is wrong with the names in its folder."""
    scan = folder.name
    images: defaultdict[int, list[Path]] = defaultdict(list)
    masks: defaultdict[int, list[Path]] = defaultdict(list)
    problems = []
    for path in _slice_files(folder):
        match = _SLICE.fullmatch(path.stem)
        if match is None or match["scan"] != scan:
            text = (
                f"expected {scan}_1.tif or {scan}_1{MASK_SUFFIX}.tif with the number of a slice; is it of another scan?"
            )
            problems.append(Problem(scan if as_volumes else path.stem, text, path))
        elif is_labelled or not match["mask"]:
            (masks if match["mask"] else images)[int(match["number"])].append(path)

    for path in _slices_of_other_formats(folder):
        text = "a slice that is no TIFF file, expected one; copy it again, or move it away"
        problems.append(Problem(scan if as_volumes else path.stem, text, path))

    def report(number: int, text: str, file: Path = folder) -> None:
        problems.append(Problem(scan if as_volumes else _name(scan, number), text, file))

    for kind, files_of in (("images", images), ("masks", masks)):
        for number, files in files_of.items():
            if len(files) > 1:
                names = ", ".join(path.name for path in files)
                report(number, f"{len(files)} {kind} for slice {number}, expected one: {names}; remove the other")
    for number in sorted(masks.keys() - images.keys()):
        report(number, f"no image for the mask of slice {number}; copy it again", masks[number][0])
    for before, after in pairwise((0, *sorted(images.keys() | masks.keys()))):
        if after - before > 1:
            gap = f"slice {after - 1} is" if after - before == 2 else f"slices {before + 1} to {after - 1} are"
            report(before + 1, f"{gap} missing, expected all from 1; copy the folder again")
    if not images:
        problems.append(Problem(scan, "no slices, expected TIFF files; copy the folder again or remove it", folder))
    return {number: images[number][0] for number in sorted(images)}, problems


def convert_lgg(source: Path, folder: Path, *, options: LggOptions | None = None) -> Conversion:
    """Convert the data set to an nnU-Net raw data set, with a table of missing sequences beside dataset.json.

    Args:
        source: the folder that holds the patients' folders, or ``kaggle_3m``.
        folder: ``$nnUNet_raw/Dataset103_LGG``.
        options: None takes the defaults.

    Raises:
        InvalidDatasetError: some cases have problems; nothing has been written.
        ValueError: no patients, two trees that differ, or a spacing that is no length.
        OSError: the folder holds something else, or writing failed.
    """
    options = options or LggOptions()
    tree, _ = find_tree(source)
    cases, problems = find_cases(tree, as_volumes=options.as_volumes)
    done = write_raw_dataset(
        cases,
        folder,
        options.description(),
        converter=options.converter(),
        record=ConversionRecord.of(
            NAME, {**options.recorded(), "sigmoid": options.sigmoid}, [_with_all_masks(case) for case in cases]
        ),
        problems=problems,
        options=options.run,
    )
    if not done.is_dry_run:
        with replacing(folder / MISSING_SEQUENCES) as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["scan", "sequence", "equals"])
            writer.writerows((scan, sequence, SEQUENCES[FLAIR]) for scan, sequence in missing_sequences(done))
    return done


def prepare_lgg_images(source: Path, folder: Path, *, options: LggOptions | None = None) -> Conversion:
    """Prepare slices, with masks beside them or without, for ``nnUNetv2_predict``, as the training images were.

    Args:
        source: the folder that holds the patients' folders, or ``kaggle_3m``.
        folder: input folder of the prediction.
        options: all but ``sigmoid`` must be those of the training data; None takes the defaults.

    Raises:
        InvalidDatasetError: some images have problems; nothing has been written.
        ValueError: no patients, two trees that differ, or a spacing that is no length.
        OSError: the folder holds something else, or writing failed.
    """
    options = options or LggOptions()
    tree, _ = find_tree(source)
    cases, problems = find_cases(tree, as_volumes=options.as_volumes, is_labelled=False)
    return write_prediction_images(
        cases,
        folder,
        options.description(),
        converter=options.converter(),
        record=ConversionRecord.of(NAME, {**options.recorded(), "images_only": True}, cases),
        problems=problems,
        options=options.run,
    )


def _with_all_masks(case: Case) -> Case:
    """Return a case that names every file it is made from, for the record."""
    _, *masks = (mask_of(path) for path in case.channels)
    return replace(case, channels=(*case.channels, *masks))


def missing_sequences(done: Conversion) -> list[tuple[str, str]]:
    """Return the scans with sequences that are a copy of FLAIR in every slice, and these sequences.

    Args:
        done: what ``convert_lgg`` or ``prepare_lgg_images`` returned.
    """
    stored: dict[str, Any] = {}
    if not done.checked:
        # An earlier run has looked at the files.
        stored = json.loads((done.folder / RECORD_FILE).read_text(encoding="utf-8"))["cases"]
    copies: dict[str, set[str]] = {}
    for case in done.cases:
        identifier = case.identifier
        source = stored[identifier]["source"] if stored else done.checked[identifier].source
        scan = case.channels[0].parent.name
        copies[scan] = copies.get(scan, set(SEQUENCES)) & set(source["same_as_flair"])
    return [(scan, name) for scan in sorted(copies) for name in _in_order(copies[scan])]


def _in_order(names: set[str]) -> Sequence[str]:
    return [name for name in SEQUENCES if name in names]


if __name__ == "__main__":
    from nnunet_mamba.cli.convert.lgg import lgg
    from nnunet_mamba.cli.convert.shared import run_as_script

    run_as_script(lgg, sys.modules[__name__])
