"""Write an nnU-Net raw data set: check every case, write each file whole, finish with dataset.json.

A run that was interrupted continues: files appear only when they are whole, and the recipe, written before
the first image, tells whether the folder belongs to the same sources and options.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.atomic import remove_partial_files, replacing
from nnunet_mamba.data.cases import Case, case_files, image_file_names
from nnunet_mamba.data.checks import Checked, InvalidDatasetError, Problem
from nnunet_mamba.data.parallel import map_in_order
from nnunet_mamba.data.recipe import RECIPE_FILE, Recipe, read_recipe

DATASET_JSON = "dataset.json"
CASE_FOLDERS = ("imagesTr", "labelsTr", "imagesTs", "labelsTs")


class CaseConverter(Protocol):
    """How one case is checked, read and written; sent to worker processes, so it must be picklable."""

    def check(self, case: Case) -> Checked:
        """Look at a case's files."""

    def read(self, case: Case) -> list[npt.NDArray[Any]]:
        """Return what to write: one array for each image file of the case, then its label if it has one."""

    def write(self, path: Path, array: npt.NDArray[Any]) -> None:
        """Save one array as a file."""


@dataclass(frozen=True, kw_only=True)
class DatasetDescription:
    """What dataset.json says.

    Args:
        channel_names: one per channel; nnU-Net derives the normalisation from them.
        labels: name to value, or to values for a region; "background" is 0.
        file_ending: with its dot.
        reader_writer: name of nnU-Net's class that reads the files.
        regions_class_order: for regions, the value that each of them gets in a written segmentation.
        files_per_case: image files of a case; RGB photographs hold three channels in one.
    """

    channel_names: tuple[str, ...]
    labels: Mapping[str, int | list[int]]
    file_ending: str
    reader_writer: str
    regions_class_order: tuple[int, ...] | None = None
    files_per_case: int = 1

    def dataset_json(self, n_training: int) -> dict[str, Any]:
        """Return the content of dataset.json.

        Args:
            n_training: training cases.
        """
        content: dict[str, Any] = {
            "channel_names": {str(index): name for index, name in enumerate(self.channel_names)},
            "labels": dict(self.labels),
            "numTraining": n_training,
            "file_ending": self.file_ending,
            "overwrite_image_reader_writer": self.reader_writer,
        }
        if self.regions_class_order is not None:
            content["regions_class_order"] = list(self.regions_class_order)
        return content


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What a run did.

    Args:
        folder: of the data set.
        n_training: training cases in it.
        n_test: test cases in it.
        n_test_labels: test cases with a label.
        n_written: cases that this run wrote; less than all after an interruption, 0 if it was complete.
    """

    folder: Path
    n_training: int
    n_test: int
    n_test_labels: int
    n_written: int


def write_raw_dataset(
    cases: Sequence[Case],
    folder: Path,
    description: DatasetDescription,
    *,
    converter: CaseConverter,
    recipe: Recipe,
    problems: Sequence[Problem] = (),
    jobs: int = 1,
    progress: bool = False,
) -> Conversion:
    """Convert ``cases`` into ``folder``. A second run after an interruption continues where it stopped.

    Args:
        cases: training and test cases with unique identifiers.
        folder: ``$nnUNet_raw/DatasetXXX_Name``.
        description: of the data set.
        converter: for one case.
        recipe: of these cases and options.
        problems: found before, while looking for the cases; shown together with those of the files.
        jobs: worker processes; the result does not depend on it.
        progress: show bars on standard error.

    Raises:
        InvalidDatasetError: some cases have problems; nothing has been written.
        FileExistsError: the folder holds something else; nothing has been written.
        OSError: writing failed (disk full); whole files stay, and a second run continues.
    """
    targets = {
        case.identifier: case_files(
            case, folder, n_files=description.files_per_case, file_ending=description.file_ending
        )
        for case in cases
    }
    n_training = sum(case.is_training for case in cases)
    if n_training == 0 and not problems:
        raise ValueError(f"no training case for {folder}: none of {len(cases)} images has a mask")
    is_complete = (folder / DATASET_JSON).is_file()
    n_written = _convert(
        cases, targets, folder, converter, recipe=recipe, problems=problems, jobs=jobs, progress=progress
    )
    if n_written or not is_complete:
        # Last, so that its presence means that the data set is complete.
        with replacing(folder / DATASET_JSON) as temporary:
            temporary.write_text(json.dumps(description.dataset_json(n_training), indent=2) + "\n", encoding="utf-8")
    return _conversion(cases, folder, n_written)


def write_prediction_images(
    cases: Sequence[Case],
    folder: Path,
    description: DatasetDescription,
    *,
    converter: CaseConverter,
    recipe: Recipe,
    problems: Sequence[Problem] = (),
    jobs: int = 1,
    progress: bool = False,
) -> Conversion:
    """Convert the images of ``cases`` directly into ``folder``, as input of ``nnUNetv2_predict``.

    Arguments and errors are those of ``write_raw_dataset``; there is no dataset.json.

    Args:
        cases: test cases without labels.
        folder: input folder of a prediction.
        description: of the data set that the model was trained on.
        converter: for one case.
        recipe: of these cases and options.
        problems: found before.
        jobs: worker processes.
        progress: show bars on standard error.
    """
    targets = {
        case.identifier: [
            folder / name
            for name in image_file_names(case.identifier, description.files_per_case, description.file_ending)
        ]
        for case in cases
    }
    n_written = _convert(
        cases, targets, folder, converter, recipe=recipe, problems=problems, jobs=jobs, progress=progress
    )
    return _conversion(cases, folder, n_written)


def _convert(
    cases: Sequence[Case],
    targets: Mapping[str, list[Path]],
    folder: Path,
    converter: CaseConverter,
    *,
    recipe: Recipe,
    problems: Sequence[Problem],
    jobs: int,
    progress: bool,
) -> int:
    """Check and write what is missing; return how many cases were written."""
    cases = sorted(cases, key=lambda case: case.identifier)
    is_begun = _refuse_other_content(folder, recipe, targets)
    unfinished = [case for case in cases if not all(_is_whole(target) for target in targets[case.identifier])]
    # A stored recipe means that the same files passed the checks of an earlier run.
    checked = {} if is_begun else _check_all(cases, converter, jobs=jobs, progress=progress)
    found = [*problems, *(problem for one in checked.values() for problem in one.problems)]
    if found:
        raise InvalidDatasetError(found, folder)
    if not unfinished:
        return 0
    n_written = 0
    try:
        if is_begun:
            (folder / DATASET_JSON).unlink(missing_ok=True)
            for subfolder in (folder, *(folder / name for name in CASE_FOLDERS)):
                remove_partial_files(subfolder)
        else:
            recipe.write(folder, {identifier: one.source for identifier, one in checked.items()})
        write = partial(_write_case, converter)
        jobs_and_targets = [(case, targets[case.identifier]) for case in unfinished]
        for _ in map_in_order(write, jobs_and_targets, jobs=jobs, description="writing", progress=progress):
            n_written += 1
    except OSError as error:
        text = (
            f"{error.strerror or error}, while writing {folder}. {len(cases) - len(unfinished) + n_written} of "
            f"{len(cases)} cases are there and whole. Put it right (free space, permissions) and run the same "
            "command again: it continues"
        )
        raise OSError(error.errno, text) from error
    return n_written


def _refuse_other_content(folder: Path, recipe: Recipe, targets: Mapping[str, list[Path]]) -> bool:
    """Return whether ``folder`` holds a conversion of the same recipe; raise if it holds anything else."""
    way_out = f"Choose another place (--output, --name, --dataset-id, or OUT of --images-only), or delete {folder}"
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file, expected a folder. {way_out}")
    stored = read_recipe(folder)
    if stored is None:
        content = (
            sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.exists() else []
        )
        if content:
            raise FileExistsError(
                f"{folder} holds files of another origin ({', '.join(content[:5])}), and no {RECIPE_FILE}. {way_out}"
            )
        return False
    if differences := recipe.differences(stored):
        raise FileExistsError(f"{folder} was converted differently:\n  " + "\n  ".join(differences) + f"\n{way_out}")
    expected = {path for paths in targets.values() for path in paths}
    ending = "".join(next(iter(expected)).suffixes[-1:])
    folders = {path.parent for path in expected} | {folder / name for name in CASE_FOLDERS}
    foreign = sorted(
        path
        for subfolder in folders
        for path in subfolder.glob(f"*{ending}")
        if path not in expected and not path.name.startswith(".")
    )
    if foreign:
        raise FileExistsError(
            f"{len(foreign)} files in {folder} do not belong to this data set, such as {foreign[0]}; "
            f"nnU-Net would take them for cases. Move them away. {way_out}"
        )
    return True


def _check_all(cases: Sequence[Case], converter: CaseConverter, *, jobs: int, progress: bool) -> dict[str, Checked]:
    checked = map_in_order(converter.check, cases, jobs=jobs, description="checking", progress=progress)
    return {case.identifier: one for case, one in zip(cases, checked, strict=True)}


def _write_case(converter: CaseConverter, case_and_targets: tuple[Case, list[Path]]) -> None:
    case, targets = case_and_targets
    for target, array in zip(targets, converter.read(case), strict=True):
        if not _is_whole(target):
            with replacing(target) as temporary:
                converter.write(temporary, np.ascontiguousarray(array))


def _is_whole(path: Path) -> bool:
    """Files appear whole; only a power failure can leave an empty one."""
    return path.is_file() and path.stat().st_size > 0


def _conversion(cases: Sequence[Case], folder: Path, n_written: int) -> Conversion:
    test = [case for case in cases if not case.is_training]
    return Conversion(
        folder=folder,
        n_training=len(cases) - len(test),
        n_test=len(test),
        n_test_labels=sum(case.label is not None for case in test),
        n_written=n_written,
    )
