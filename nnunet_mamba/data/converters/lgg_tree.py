"""Find the scans and slices of the lower-grade gliomas of TCGA in the folders of Kaggle's archive.

A folder for every patient, in it a picture for every slice and a mask for every picture::

    kaggle_3m/TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_1.tif         (RGB: pre-contrast, FLAIR, post-contrast)
    kaggle_3m/TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_1_mask.tif    (0 and 255)
    kaggle_3m/data.csv                                                  (not needed)

Slices are numbered from 1, without zeros in front. The archive holds the whole tree twice, in ``kaggle_3m`` and in
``lgg-mri-segmentation/kaggle_3m``; one of them is taken.
"""

import filecmp
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.lgg_slices import MASK_SUFFIX, mask_of
from nnunet_mamba.data.formats.file_endings import PICTURE_ENDINGS, TIFF_ENDINGS
from nnunet_mamba.data.problems import Problem
from nnunet_mamba.data.sources.filename_patterns import OTHER_IMAGE_ENDINGS
from nnunet_mamba.data.sources.folder_walk import is_broken_link, lost_folder, visible_entries

TREES = (".", "kaggle_3m", "lgg-mri-segmentation/kaggle_3m")
_PATIENT_START = "TCGA_"
# The date comes last in a scan's name; what stands before it is the patient.
_SCAN = re.compile(r"(?P<patient>TCGA_[A-Za-z0-9]+_[A-Za-z0-9]+)(_[0-9]{8})?")
_SLICE = re.compile(rf"(?P<scan>.+)_(?P<number>[0-9]+)(?P<mask>{MASK_SUFFIX})?")


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
    return [path for path in visible_entries(folder) if path.suffix.lower() in TIFF_ENDINGS and not path.is_dir()]


def _problems_of_other_formats(folder: Path, *, as_volumes: bool) -> list[Problem]:
    """Return a problem for every slice of a scan in another format that has no TIFF file of the same name."""
    stems = {path.stem for path in _slice_files(folder)}
    text = "a slice that is no TIFF file, expected one; copy it again, or move it away"
    return [
        Problem(folder.name if as_volumes else path.stem, text, path)
        for path in visible_entries(folder)
        if path.suffix.lower() in (*PICTURE_ENDINGS, *OTHER_IMAGE_ENDINGS)
        and path.suffix.lower() not in TIFF_ENDINGS
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
        slices, found = numbered_slices(
            _slice_files(folder), folder, scan=scan, as_volumes=as_volumes, is_labelled=is_labelled
        )
        problems += [*found, *_problems_of_other_formats(folder, as_volumes=as_volumes)]
        groups = {scan: list(slices.values())} if as_volumes else {_name(scan, n): [p] for n, p in slices.items()}
        cases += [
            Case(
                identifier=identifier,
                channels=tuple(files),
                mask=mask_of(files[0]) if is_labelled else None,
                is_training=is_labelled,
                group=match["patient"],
            )
            for identifier, files in groups.items()
            if files
        ]
    return cases, problems


def _name(scan: str, number: int) -> str:
    return f"{scan}_{number:03d}"


def scan_of(slice_file: Path) -> str | None:
    """Return the name of the scan in the name of a slice, None if that is no name of a slice.

    Args:
        slice_file: such as ``TCGA_CS_4941_19960909_1.tif``, or its mask.
    """
    match = _SLICE.fullmatch(slice_file.stem)
    return match["scan"] if match else None


def numbered_slices(
    files: Sequence[Path], folder: Path, *, scan: str, as_volumes: bool, is_labelled: bool
) -> tuple[dict[int, Path], list[Problem]]:
    """Return the slices of a scan by number, lowest first, and what is wrong with the names of its files.

    Args:
        files: its slices, and their masks where there are any.
        folder: that they are in.
        scan: its name, which those of its files begin with.
        as_volumes: whether a case is the scan; otherwise it is a slice.
        is_labelled: whether the masks are wanted.
    """
    images: defaultdict[int, list[Path]] = defaultdict(list)
    masks: defaultdict[int, list[Path]] = defaultdict(list)
    problems = []
    for path in files:
        match = _SLICE.fullmatch(path.stem)
        if match is None or match["scan"] != scan:
            text = (
                f"expected {scan}_1.tif or {scan}_1{MASK_SUFFIX}.tif with the number of a slice; is it of another scan?"
            )
            problems.append(Problem(scan if as_volumes else path.stem, text, path))
        elif is_labelled or not match["mask"]:
            (masks if match["mask"] else images)[int(match["number"])].append(path)

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
