"""Score two folders of label maps: read each case once, check it, let nnU-Net count, and measure distances."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_mamba.evaluation.output_files import CASES, refuse_output
from nnunet_mamba.evaluation.protocols import LabelScores, score_labels
from nnunet_mamba.results.confusion import ScoredCase
from nnunet_mamba.results.layout import SUMMARY

if TYPE_CHECKING:
    from nnunet_mamba.data.formats.dataset_json import DatasetJson
    from nnunet_mamba.evaluation.case_files import CaseFiles
    from nnunet_mamba.evaluation.case_scoring import CaseResult, CaseScorer
    from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure
    from nnunet_mamba.evaluation.measured_distances import MeasuredDistances

_LOGGER = logging.getLogger(__name__)

# A worker imports torch, which takes as long as scoring so many pixels or voxels.
_POSITIONS_PER_WORKER = 2**26


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The scores of two folders of label maps.

    Args:
        cases: sorted by identifier.
        summary: the file in nnU-Net's form.
        table: the file with one line per case and label.
        distances: of all cases, None if they were not measured.
    """

    cases: Sequence[ScoredCase]
    summary: Path
    table: Path
    distances: "MeasuredDistances | None" = None

    @property
    def scores(self) -> list[LabelScores]:
        """Every label or region in both protocols."""
        return score_labels(self.cases, self.distances)

    def as_dict(self) -> dict[str, object]:
        """Return the scores and the files as plain values for JSON."""
        files = {"summary": str(self.summary), "cases": str(self.table)}
        scores = {"n_cases": len(self.cases), "labels": [row.as_dict() for row in self.scores], **files}
        return scores if self.distances is None else {**scores, "distances": self.distances.as_dict()}


@dataclass(frozen=True, kw_only=True)
class ScoringTask:
    """What is scored, and how.

    Args:
        files: of all cases.
        scorer: of each.
        names: of labels and regions, by their keys in summary.json.
    """

    files: "Sequence[CaseFiles]"
    scorer: "CaseScorer"
    names: dict[str, str]

    def cases_per_worker(self) -> int:
        """Return how many cases are worth starting a process, as the size of the first one tells."""
        try:
            label_map, _ = self.scorer.reader.read_seg(str(self.files[0].reference))
        except (OSError, ValueError, RuntimeError, SyntaxError):
            # Scoring it will tell.
            return 1
        self.scorer.reader.take_missed()
        return max(1, round(_POSITIONS_PER_WORKER / max(1, label_map.size)))


def evaluate_folders(
    predictions: Path,
    labels: Path,
    dataset_json: Path | None = None,
    *,
    output: Path | None = None,
    allow_missing: bool = False,
    processes: int | None = None,
    progress: bool = False,
    distances: "DistanceMeasure | None" = None,
) -> Evaluation:
    """Score label maps with nnU-Net's own evaluation and write summary.json and cases.csv.

    Folders of black and white masks are scored without a dataset.json, as one label called "foreground"; their cases
    are called as their files, without the ``_segmentation`` with which ISIC ends the names of references.

    Args:
        predictions: folder of predicted label maps.
        labels: folder of reference label maps of the same names.
        dataset_json: names the labels or regions and the file ending; None takes the one beside ``labels``.
        output: created if it is not there; None takes ``predictions``.
        allow_missing: score the predicted cases only; otherwise a label without prediction is an error.
        processes: how many processes read and count; None takes one per core.
        progress: show it on standard error.
        distances: measure HD95, ASSD and NSD, too.

    Raises:
        FileNotFoundError: there is no dataset.json, or a folder, a label or, without ``allow_missing``, a prediction is
            missing; lists all of them.
        ValueError: files are damaged or have other values, shapes or places, some have a spacing and others none, or
            the file is no dataset.json; lists all.
        FileExistsError: ``output`` holds a summary.json or cases.csv that no evaluation has written.
        OSError: nothing can be written into ``output``; then neither file is there.
    """
    from nnunet_mamba.data.formats.label_map_files import refuse_if_no_folder

    refuse_if_no_folder(predictions, holds="predictions")
    refuse_if_no_folder(labels, holds="labels")
    task = _task(predictions, labels, dataset_json, allow_missing=allow_missing, distances=distances)
    return evaluate_files(task, output or predictions, processes=processes, progress=progress)


def evaluate_files(
    task: "ScoringTask", output: Path, *, processes: int | None = None, progress: bool = False
) -> Evaluation:
    """Score pairs of files with nnU-Net's own evaluation and write summary.json and cases.csv.

    Args:
        task: the pairs, and how they are scored.
        output: created if it is not there.
        processes: how many processes read and count; None takes one per core.
        progress: show it on standard error.

    Raises:
        ValueError: files are damaged or have other values, shapes or places, or some have a spacing and others none;
            lists all.
        FileExistsError: ``output`` holds a summary.json or cases.csv that no evaluation has written.
        OSError: nothing can be written into ``output``; then neither file is there.
    """
    from nnunet_mamba.evaluation.case_table import write_case_table
    from nnunet_mamba.results.summaries import read_summary
    from nnunet_mamba.system.atomic import replacing
    from nnunet_mamba.system.machine import usable_cores

    if processes is not None and processes < 1:
        raise ValueError(f"processes is {processes}, expected at least 1")
    refuse_output(output)
    results = _results(task, processes=processes or usable_cores(), progress=progress)
    summary = _summary(results, task.scorer.scored)
    measured = _measured(task, results)
    with replacing(output / SUMMARY) as new_summary, replacing(output / CASES) as new_table:
        _save(summary, new_summary)
        cases = read_summary(new_summary, names=task.names, identifiers=_identifiers(task.files))
        write_case_table(cases, new_table, measured)
    return Evaluation(cases=cases, summary=output / SUMMARY, table=output / CASES, distances=measured)


def _task(
    predictions: Path,
    labels: Path,
    dataset_json: Path | None,
    *,
    allow_missing: bool,
    distances: "DistanceMeasure | None",
) -> ScoringTask:
    from nnunet_mamba.evaluation.plain_masks import are_plain_masks, paired_masks

    beside = labels.resolve().parent / "dataset.json"
    if not any(labels.glob("[!.]*")):
        raise FileNotFoundError(f"{labels} is empty, expected label maps or masks; name the folder of references")
    if dataset_json is not None or beside.is_file() or not are_plain_masks(labels):
        return _described_task(
            predictions, labels, dataset_json or beside, allow_missing=allow_missing, distances=distances
        )
    return plain_mask_task(paired_masks(predictions, labels, allow_missing=allow_missing), distances=distances)


def _described_task(
    predictions: Path, labels: Path, dataset_json: Path, *, allow_missing: bool, distances: "DistanceMeasure | None"
) -> ScoringTask:
    from nnunet_mamba.data.formats.dataset_json import read_dataset_json
    from nnunet_mamba.evaluation.case_files import paired_label_maps

    dataset = read_dataset_json(_there(dataset_json, predictions, labels))
    files = paired_label_maps(predictions, labels, dataset.file_ending, allow_missing=allow_missing)
    return label_map_task(files, dataset, distances=distances)


def plain_mask_task(files: "Sequence[CaseFiles]", *, distances: "DistanceMeasure | None" = None) -> ScoringTask:
    """Return how black and white masks are scored, as one label called "foreground".

    Args:
        files: of all cases.
        distances: None measures none.
    """
    from nnunet_mamba.evaluation.case_scoring import CaseScorer
    from nnunet_mamba.evaluation.plain_masks import LABEL, PlainMaskReader

    scorer = CaseScorer(reader=PlainMaskReader(), values=(0, 1), scored=(1,), measure=distances)
    return ScoringTask(files=files, scorer=scorer, names={"1": LABEL})


def label_map_task(
    files: "Sequence[CaseFiles]", dataset: "DatasetJson", *, distances: "DistanceMeasure | None" = None
) -> ScoringTask:
    """Return how the label maps of a data set are scored.

    Args:
        files: of all cases.
        dataset: what its dataset.json says.
        distances: None measures none.
    """
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    from nnunet_mamba.evaluation.case_scoring import CaseScorer
    from nnunet_mamba.evaluation.label_map_reading import label_map_reader

    reader = label_map_reader(dataset, files[0].reference)
    manager = LabelManager(
        dataset.content["labels"], regions_class_order=list(dataset.labels.regions_class_order) or None
    )
    # nnU-Net lists labels as numpy's numbers.
    scored = manager.foreground_regions if manager.has_regions else map(int, manager.foreground_labels)
    scorer = CaseScorer(
        reader=reader,
        values=dataset.labels.in_label_maps,
        scored=tuple(scored),
        ignored=manager.ignore_label,
        measure=distances,
    )
    return ScoringTask(files=files, scorer=scorer, names=dataset.labels.names)


def _there(dataset_json: Path, predictions: Path, labels: Path) -> Path:
    from nnunet_mamba.evaluation.case_files import refuse_swapped

    if dataset_json.is_file():
        return dataset_json
    if (
        dataset_json.parent == labels.resolve().parent
        and (described := predictions.resolve().parent / "dataset.json").is_file()
    ):
        refuse_swapped(predictions, labels, f"{described} lies beside {predictions}, and none beside {labels}")
    found = "is a folder" if dataset_json.is_dir() else "does not exist"
    raise FileNotFoundError(f"{dataset_json} {found}: name the dataset.json of the data set with `dataset_json=FILE`")


def _results(task: ScoringTask, *, processes: int, progress: bool) -> "list[CaseResult]":
    """Return the result of every case.

    Raises:
        ValueError: some cannot be scored; lists all.
    """
    from nnunet_mamba.evaluation.label_map_checks import refuse_problems
    from nnunet_mamba.evaluation.label_map_reading import missed_text
    from nnunet_mamba.system.parallel import map_in_order

    results = list(
        map_in_order(
            task.scorer.score,
            task.files,
            jobs=processes,
            description="scoring",
            progress=progress,
            items_per_worker=task.cases_per_worker(),
            setting="processes",
        )
    )
    pairs = list(zip(task.files, results, strict=True))
    refuse_problems([(files.prediction.name, problem) for files, result in pairs for problem in result.problems])
    if text := missed_text({file: n for result in results for file, n in result.n_missed.items()}):
        _LOGGER.info(text)
    return results


def _summary(results: "Sequence[CaseResult]", scored: Sequence[Any]) -> dict[str, Any]:
    """Return the content of nnU-Net's summary.json."""
    import numpy as np

    cases = [result.metrics for result in results]
    metrics = list(cases[0]["metrics"][scored[0]])
    with warnings.catch_warnings():
        # As in nnU-Net, a label that no case has is NaN.
        warnings.simplefilter("ignore", RuntimeWarning)
        means = {
            label: {metric: float(np.nanmean([case["metrics"][label][metric] for case in cases])) for metric in metrics}
            for label in scored
        }
        foreground = {metric: float(np.mean([means[label][metric] for label in scored])) for metric in metrics}
    return {"metric_per_case": cases, "mean": means, "foreground_mean": foreground}


def _save(summary: dict[str, Any], path: Path) -> None:
    from nnunetv2.evaluation.evaluate_predictions import save_summary_json

    save_summary_json(summary, str(path))


def _measured(task: ScoringTask, results: "Sequence[CaseResult]") -> "MeasuredDistances | None":
    """Return the distances of all cases, None if they were not measured.

    Raises:
        ValueError: some files tell a spacing and others do not.
    """
    from nnunet_mamba.evaluation.measured_distances import MeasuredDistances

    if task.scorer.measure is None:
        return None
    first = {
        result.unit: files.reference for files, result in zip(reversed(task.files), reversed(results), strict=True)
    }
    if len(first) > 1:
        raise ValueError(
            f"{first['mm']} tells its spacing, and {first['pixel']} does not: distances in mm and in pixels have no "
            "mean; write all label maps with their spacing, or score them apart"
        )
    labels = [task.names[str(label)] for label in task.scorer.scored]
    return MeasuredDistances(
        by_case={
            files.identifier: dict(zip(labels, result.distances, strict=True))
            for files, result in zip(task.files, results, strict=True)
        },
        measure=task.scorer.measure,
        unit=next(iter(first)),
    )


def _identifiers(files: "Sequence[CaseFiles]") -> dict[str, str]:
    return {str(each.prediction): each.identifier for each in files}
