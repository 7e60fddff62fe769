"""Score two folders of label maps: check all cases first, then let nnU-Net count the pixels of each."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_mamba.evaluation.protocols import LabelScores, score_labels
from nnunet_mamba.results.confusion import ScoredCase
from nnunet_mamba.results.layout import SUMMARY

if TYPE_CHECKING:
    from nnunet_mamba.data.formats.dataset_json import DatasetJson
    from nnunet_mamba.evaluation.label_map_reading import LabelMapReader

_LOGGER = logging.getLogger(__name__)

CASES = "cases.csv"
# A worker imports torch, which takes as long as counting so many volumes.
_VOLUMES_PER_WORKER = 2


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The scores of two folders of label maps.

    Args:
        cases: sorted by identifier.
        summary: the file in nnU-Net's form.
        table: the file with one line per case and label.
    """

    cases: Sequence[ScoredCase]
    summary: Path
    table: Path

    @property
    def scores(self) -> list[LabelScores]:
        """Every label or region in both protocols."""
        return score_labels(self.cases)

    def as_dict(self) -> dict[str, object]:
        """Return the scores and the files as plain values for JSON."""
        files = {"summary": str(self.summary), "cases": str(self.table)}
        return {"n_cases": len(self.cases), "labels": [row.as_dict() for row in self.scores], **files}


def evaluate_folders(
    predictions: Path,
    labels: Path,
    dataset_json: Path | None = None,
    *,
    output: Path | None = None,
    allow_missing: bool = False,
    processes: int = 2,
    progress: bool = False,
) -> Evaluation:
    """Score label maps with nnU-Net's own evaluation and write summary.json and cases.csv.

    Args:
        predictions: folder of predicted label maps.
        labels: folder of reference label maps of the same names.
        dataset_json: names the labels or regions and the file ending; None takes the one beside ``labels``.
        output: created if it is not there; None takes ``predictions``.
        allow_missing: score the predicted cases only; otherwise a label without prediction is an error.
        processes: how many processes count.
        progress: show it on standard error.

    Raises:
        FileNotFoundError: there is no dataset.json, or a folder, a label or, without ``allow_missing``, a prediction is
            missing; lists all of them.
        ValueError: files are damaged or have other values, shapes or places, or the file is no dataset.json; lists all.
        OSError: nothing can be written into ``output``; then neither file is there.
    """
    from nnunet_mamba.data.formats.dataset_json import read_dataset_json
    from nnunet_mamba.data.formats.label_map_files import refuse_if_no_folder
    from nnunet_mamba.evaluation.case_table import write_case_table
    from nnunet_mamba.evaluation.label_map_checks import check_label_maps
    from nnunet_mamba.evaluation.label_map_reading import label_map_reader
    from nnunet_mamba.results.summaries import read_summary
    from nnunet_mamba.system.atomic import replacing
    from nnunet_mamba.system.folder_lock import refuse_if_unwritable

    if processes < 1:
        raise ValueError(f"processes is {processes}, expected at least 1")
    refuse_if_no_folder(predictions, holds="predictions")
    refuse_if_no_folder(labels, holds="labels")
    dataset = read_dataset_json(_there(dataset_json or labels.resolve().parent / "dataset.json"))
    output = output or predictions
    names = _paired_files(predictions, labels, dataset.file_ending, allow_missing=allow_missing)
    refuse_if_unwritable(output, way_out="make room, get the right to write there, or choose another `output`")
    reader = label_map_reader(dataset, labels / names[0])
    check_label_maps(predictions, labels, names, reader, dataset.labels.in_label_maps, progress=progress)
    if text := reader.missed_text():
        _LOGGER.info(text)
    summary = _summary(
        predictions, labels, names, reader=reader, dataset=dataset, processes=processes, progress=progress
    )
    with replacing(output / SUMMARY) as new_summary, replacing(output / CASES) as new_table:
        _save(summary, new_summary)
        cases = read_summary(new_summary, names=dataset.labels.names)
        write_case_table(cases, new_table)
    return Evaluation(cases=cases, summary=output / SUMMARY, table=output / CASES)


def _there(dataset_json: Path) -> Path:
    if not dataset_json.is_file():
        found = "is a folder" if dataset_json.is_dir() else "does not exist"
        raise FileNotFoundError(
            f"{dataset_json} {found}: name the dataset.json of the data set with `dataset_json=FILE`"
        )
    return dataset_json


def _summary(
    predictions: Path,
    labels: Path,
    names: Sequence[str],
    *,
    reader: "LabelMapReader",
    dataset: "DatasetJson",
    processes: int,
    progress: bool,
) -> dict[str, Any]:
    """Return the content of nnU-Net's summary.json."""
    import numpy as np
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    from nnunet_mamba.system.parallel import ITEMS_PER_WORKER, map_in_order

    manager = LabelManager(
        dataset.content["labels"], regions_class_order=list(dataset.labels.regions_class_order) or None
    )
    scored = manager.foreground_regions if manager.has_regions else manager.foreground_labels
    pairs = [(str(labels / name), str(predictions / name)) for name in names]
    counted = map_in_order(
        partial(_count, reader=reader, scored=scored, ignored=manager.ignore_label),
        pairs,
        jobs=processes,
        description="counting",
        progress=progress,
        items_per_worker=ITEMS_PER_WORKER if reader.reads_pictures else _VOLUMES_PER_WORKER,
        setting="processes",
    )
    cases = list(counted)
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


def _count(pair: tuple[str, str], *, reader: "LabelMapReader", scored: Sequence[Any], ignored: int | None) -> Any:
    from nnunetv2.evaluation.evaluate_predictions import compute_metrics
    from nnunetv2.utilities.json_export import recursive_fix_for_json_export

    metrics = compute_metrics(*pair, reader, scored, ignored)
    recursive_fix_for_json_export(metrics)
    return metrics


def _save(summary: dict[str, Any], path: Path) -> None:
    from nnunetv2.evaluation.evaluate_predictions import save_summary_json

    save_summary_json(summary, str(path))


def _paired_files(predictions: Path, labels: Path, file_ending: str, *, allow_missing: bool) -> list[str]:
    """Return the names of the files that both folders hold."""
    from nnunet_mamba.data.formats.label_map_files import label_map_files, other_forms

    # nnU-Net would score them too.
    if hidden := sorted(file.name for file in predictions.glob(f".*{file_ending}")):
        raise ValueError(
            f"{predictions} holds hidden files, {', '.join(hidden[:5])}{', …' if len(hidden) > 5 else ''}, as macOS "
            "writes beside others; delete them, they are no label maps"
        )
    predicted = label_map_files(predictions, file_ending, holds="predictions")
    reference = label_map_files(labels, file_ending, holds="labels")
    problems = []
    unpredicted = sorted(reference.keys() - predicted.keys())
    unlabelled = sorted(predicted.keys() - reference.keys())
    there = other_forms(predictions, unpredicted, file_ending)
    # Never leave out silently a prediction that is there under another name.
    missing = [identifier for identifier in unpredicted if not allow_missing or identifier in there]
    for folder, text, identifiers, found in (
        (predictions, f"labels in {labels} have no prediction in {predictions}", missing, there),
        (labels, f"predictions in {predictions} have no label in {labels}", unlabelled, None),
    ):
        if identifiers:
            found = other_forms(folder, identifiers, file_ending) if found is None else found
            lines = [
                f"{name}{file_ending}" + (f" (there is {found[name]})" if name in found else "") for name in identifiers
            ]
            way_out = "\nRename or convert the files that are there." if found else ""
            problems.append(f"{len(identifiers)} {text}:\n  " + "\n  ".join(lines) + way_out)
    if problems:
        if allow_missing or not unpredicted:
            raise FileNotFoundError("\n".join(problems))
        raise FileNotFoundError("\n".join([*problems, "Score what is predicted with `allow_missing=True`."]))
    return [f"{identifier}{file_ending}" for identifier in sorted(predicted)]
