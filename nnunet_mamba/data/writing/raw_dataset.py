"""Write an nnU-Net raw data set: check every case, write each file whole, finish with dataset.json.

A run that was interrupted continues: files appear only when they are whole, and the record, written before
the first image, tells whether the folder belongs to the same sources and options.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nnunet_mamba.data.cases import Case, case_files, image_file_names
from nnunet_mamba.data.problems import CaseCheck, InvalidDatasetError, Problem
from nnunet_mamba.data.sources.unpacked_names import problems_as_packed
from nnunet_mamba.data.splits.case_splits import split_cases
from nnunet_mamba.data.splits.split import Split
from nnunet_mamba.data.splits.split_files import refuse_other_splits, write_splits
from nnunet_mamba.data.writing.case_inspection import CaseChecker, check_cases
from nnunet_mamba.data.writing.case_names import name_problems
from nnunet_mamba.data.writing.conversion_record import ConversionRecord
from nnunet_mamba.data.writing.dataset_folder import refuse_nnunet_folder
from nnunet_mamba.data.writing.problem_report import refuse_if_no_report, write_problem_report
from nnunet_mamba.data.writing.run_options import RunOptions
from nnunet_mamba.data.writing.target_folder import CASE_FOLDERS, refuse_other_content, refuse_overlap, stored_record
from nnunet_mamba.system.atomic import remove_partial_files, replacing
from nnunet_mamba.system.folder_lock import only_writer, refuse_if_unwritable, refuse_if_written
from nnunet_mamba.system.parallel import map_in_order

DATASET_JSON = "dataset.json"
_WAY_OUT = "get the right to write there, make room, or choose another place with `output` or `images_only`"


class CaseConverter(CaseChecker, Protocol):
    """How one case is checked, read and written; sent to worker processes, so it must be picklable."""

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
    """What a run did, or would have done.

    Args:
        folder: of the data set.
        cases: in it, sorted by identifier.
        n_written: cases that this run wrote; less than all after an interruption, 0 if it was complete.
        skipped: identifiers of cases that were left out, and why.
        checked: what was found, by identifier; empty where an earlier run had looked already.
        is_dry_run: whether nothing was to be written.
        split: which cases train, validate and test; None without training cases.
        report: table that has all problems, None if none was written.
    """

    folder: Path
    cases: tuple[Case, ...]
    n_written: int
    skipped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    checked: Mapping[str, CaseCheck] = field(default_factory=dict)
    is_dry_run: bool = False
    split: Split | None = None
    report: Path | None = None

    @property
    def n_training(self) -> int:
        """Training cases."""
        return sum(case.is_training for case in self.cases)

    @property
    def n_test(self) -> int:
        """Test cases."""
        return len(self.cases) - self.n_training

    @property
    def n_test_labels(self) -> int:
        """Test cases with a label."""
        return sum(case.mask is not None for case in self.cases if not case.is_training)


def write_raw_dataset(
    cases: Sequence[Case],
    folder: Path,
    description: DatasetDescription,
    *,
    converter: CaseConverter,
    record: ConversionRecord,
    problems: Sequence[Problem] = (),
    options: RunOptions | None = None,
) -> Conversion:
    """Convert ``cases`` into ``folder``. A second run after an interruption continues where it stopped.

    Args:
        cases: training and test cases with unique identifiers.
        folder: ``$nnUNet_raw/DatasetXXX_Name``.
        description: of the data set.
        converter: for one case.
        record: of these cases and options.
        problems: found before, while looking for the cases; shown together with those of the files.
        options: of the run; None takes the defaults.

    Raises:
        InvalidDatasetError: some cases have problems; nothing has been written but the report.
        FileExistsError: the folder holds something else, or another process is writing there; nothing has been written.
        ValueError: no training case is left.
        OSError: nothing can be written there, found before any case is looked at; or writing failed (disk full, a
            worker killed), then whole files stay, and a second run continues.
    """

    def files_of(case: Case) -> list[Path]:
        return case_files(case, folder, n_files=description.files_per_case, file_ending=description.file_ending)

    options = options or RunOptions()
    split = None
    if any(case.is_training for case in cases):
        cases, split = split_cases(options.split, cases)
        record = record.for_split(options.split, cases)

    def finish(written: Conversion) -> None:
        if written.split is not None:
            write_splits(folder, written.split)
        # Last, so that its presence means that the data set is complete.
        if written.n_written or not (folder / DATASET_JSON).is_file():
            with replacing(folder / DATASET_JSON) as temporary:
                content = json.dumps(description.dataset_json(written.n_training), indent=2)
                temporary.write_text(content + "\n", encoding="utf-8")

    if not problems and not any(case.mask for case in cases):
        raise ValueError(f"no training case for {folder}: none of {len(cases)} images has a mask")
    work = _Work(folder, converter, files_of, options, split)
    return work.run(cases, record, problems, finish=finish)


def write_prediction_images(
    cases: Sequence[Case],
    folder: Path,
    description: DatasetDescription,
    *,
    converter: CaseConverter,
    record: ConversionRecord,
    problems: Sequence[Problem] = (),
    options: RunOptions | None = None,
) -> Conversion:
    """Convert the images of ``cases`` directly into ``folder``, as input of ``nnUNetv2_predict``.

    Arguments and errors are those of ``write_raw_dataset``; there is no dataset.json.

    Args:
        cases: test cases without labels.
        folder: input folder of a prediction.
        description: of the data set that the model was trained on.
        converter: for one case.
        record: of these cases and options.
        problems: found before.
        options: of the run; None takes the defaults.
    """

    def files_of(case: Case) -> list[Path]:
        names = image_file_names(case.identifier, description.files_per_case, description.file_ending)
        return [folder / name for name in names]

    refuse_nnunet_folder(folder)
    work = _Work(folder, converter, files_of, options or RunOptions())
    return work.run(cases, record, problems, finish=lambda written: None)


@dataclass(frozen=True)
class _Work:
    """One run of a conversion into one folder."""

    folder: Path
    converter: CaseConverter
    files_of: Callable[[Case], list[Path]]
    options: RunOptions
    split: Split | None = None

    def run(
        self,
        cases: Sequence[Case],
        record: ConversionRecord,
        problems: Sequence[Problem],
        *,
        finish: Callable[[Conversion], None],
    ) -> Conversion:
        """Check, and write what is missing unless it is a dry run; ``finish`` comes last."""
        cases = sorted(cases, key=lambda case: case.identifier)
        folders = {path.parent for case in cases for path in (*case.channels, *case.masks)}
        refuse_overlap(self.folder, {*folders, *self.options.sources})
        # Looking takes minutes and leaves no trace, so the right to write is only tried before, and taken after it.
        if self.options.report is not None:
            refuse_if_no_report(self.options.report)
        if not self.options.dry_run:
            # Whoever has the right to write in the folder need not have it beside.
            refuse_if_unwritable(self.folder if self.folder.is_dir() else self.folder.parent, way_out=_WAY_OUT)
            refuse_if_written(self.folder)
        found = self._examine(cases, record, problems)
        done = Conversion(
            folder=self.folder,
            cases=found.cases,
            n_written=0,
            skipped=found.skipped,
            checked=found.checked,
            is_dry_run=self.options.dry_run,
            split=self._split_of(found),
            report=None if found.is_begun else self.options.report,
        )
        if done.split is not None:
            refuse_other_splits(self.folder, done.split)
        if self.options.dry_run:
            return done
        with only_writer(self.folder):
            if not found.is_begun and stored_record(self.folder) is not None:
                raise FileExistsError(f"{self.folder}: another process has converted there meanwhile; run this again")
            with self._telling_what_is_whole(found.cases):
                written = replace(done, n_written=self._write(found))
                finish(written)
            return written

    @contextmanager
    def _telling_what_is_whole(self, cases: Sequence[Case]) -> Iterator[None]:
        """Add to an error of writing how many cases are whole, and leave nothing but whole files."""
        try:
            yield
        except OSError as error:
            # Other splits, found in words of their own.
            if isinstance(error, FileExistsError) and error.errno is None:
                raise
            # Killed workers had no time to do it, and a disk that became read-only does not let anybody.
            with suppress(OSError):
                self._remove_partial_files()
            n_whole = sum(all(map(_is_whole, self.files_of(case))) for case in cases)
            whole = f"{n_whole} of {len(cases)} cases are there and whole"
            if isinstance(error, ChildProcessError):
                raise ChildProcessError(f"{error}: it continues. {whole} in {self.folder}") from error
            raise OSError(
                error.errno,
                f"{error.strerror or error}, while writing {error.filename or self.folder}. {whole} in {self.folder}. "
                f"Put it right (free space, permissions) and run the same command again: it continues",
            ) from error

    def _remove_partial_files(self) -> None:
        for folder in (self.folder, *(self.folder / name for name in CASE_FOLDERS)):
            remove_partial_files(folder)

    def _split_of(self, found: "_Examined") -> Split | None:
        """Return the split of the cases that are left: drawn again, but for one whose test cases are fixed."""
        if self.split is None or not found.skipped:
            return self.split
        if self.split.test:
            return self.split.only([case.identifier for case in found.cases])
        return split_cases(self.options.split, found.cases)[1]

    def _examine(self, cases: Sequence[Case], record: ConversionRecord, problems: Sequence[Problem]) -> "_Examined":
        stored = stored_record(self.folder)
        if stored is not None:
            # A stored record means that the same files passed the checks of an earlier run.
            skipped = stored.skipped if self.options.skip_invalid else {}
            record = record.without(skipped)
            kept = tuple(case for case in cases if case.identifier not in skipped)
            expected = {path for case in kept for path in self.files_of(case)}
            refuse_other_content(self.folder, record, stored, expected, is_skipping=self.options.skip_invalid)
            return _Examined(kept, record, skipped, {}, is_begun=True)
        problems = [*problems, *name_problems(cases)]
        checked, found = check_cases(cases, self.converter, jobs=self.options.jobs, progress=self.options.progress)
        found = [
            replace(problem, text=self.options.wording(problem.text), advice=self.options.wording(problem.advice))
            for problem in problems_as_packed([*problems, *found])
        ]
        if self.options.report is not None:
            write_problem_report(found, self.options.report)
        reasons: dict[str, tuple[str, ...]] = {}
        for problem in found:
            reasons[problem.identifier] = (*reasons.get(problem.identifier, ()), problem.text)
        kept = tuple(case for case in cases if case.identifier not in reasons)
        is_nothing_left = not (_has_training(kept) if _has_training(cases) else kept)
        if found and (is_nothing_left or not self.options.skip_invalid):
            raise InvalidDatasetError(found, self.folder, report=self.options.report, is_nothing_left=is_nothing_left)
        return _Examined(kept, record.without(reasons), reasons, checked, is_begun=False)

    def _write(self, found: "_Examined") -> int:
        """Write what is missing; return how many cases were written."""
        targets = {case.identifier: self.files_of(case) for case in found.cases}
        unfinished = [case for case in found.cases if not all(_is_whole(path) for path in targets[case.identifier])]
        self._remove_partial_files()
        if not found.is_begun:
            found.record.write(
                self.folder, {case.identifier: found.checked[case.identifier].source for case in found.cases}
            )
        elif unfinished:
            (self.folder / DATASET_JSON).unlink(missing_ok=True)
        write = partial(_write_case, self.converter)
        items = [(case, targets[case.identifier]) for case in unfinished]
        for _ in map_in_order(
            write, items, jobs=self.options.jobs, description="writing", progress=self.options.progress
        ):
            pass
        return len(unfinished)


@dataclass(frozen=True)
class _Examined:
    """The cases that are to be in the folder."""

    cases: tuple[Case, ...]
    record: ConversionRecord
    skipped: Mapping[str, tuple[str, ...]]
    checked: Mapping[str, CaseCheck]
    is_begun: bool


def _has_training(cases: Sequence[Case]) -> bool:
    return any(case.is_training for case in cases)


def _write_case(converter: CaseConverter, case_and_targets: tuple[Case, list[Path]]) -> None:
    case, targets = case_and_targets
    for target, array in zip(targets, converter.read(case), strict=True):
        if not _is_whole(target):
            with replacing(target) as temporary:
                converter.write(temporary, np.ascontiguousarray(array))


def _is_whole(path: Path) -> bool:
    """Files appear whole; only a power failure can leave an empty one."""
    return path.is_file() and path.stat().st_size > 0
