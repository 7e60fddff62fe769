"""Score what nnU-Net has counted already: its summary.json tells all counts, so no image is opened."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from nnunet_mamba.evaluation.folders import Evaluation
from nnunet_mamba.evaluation.output_files import CASES, refuse_output
from nnunet_mamba.evaluation.protocols import score_labels
from nnunet_mamba.results.confusion import ScoredCase
from nnunet_mamba.results.layout import ALL, SUMMARY, fold_name, fold_of, validation_summary
from nnunet_mamba.results.summaries import read_summary
from nnunet_mamba.results.trained_model import DATASET_FILE, TrainedModel
from nnunet_mamba.system.counts import how_many, numbered

_LOGGER = logging.getLogger(__name__)

# From a fold's validation up to the folder of its training.
_FLOORS_UP = 2
_SHOWN_NAMES = 5


def evaluate_results(results: Path, dataset_json: Path | None = None, *, output: Path | None = None) -> Evaluation:
    """Score a summary.json of nnU-Net's, or those of all folds of a training together, and write cases.csv.

    Args:
        results: a summary.json; a folder with one; a fold of nnU-Net's results; or the folder of a training, whose
            folds 0, 1, … count, or "all" where there is no other.
        dataset_json: names the labels or regions; None takes the one beside the folds, and without one labels keep
            their numbers.
        output: folder for cases.csv, created if it is not there; None takes that of ``results``.

    Raises:
        FileNotFoundError: there is no summary.json, or no ``dataset_json``.
        ValueError: one is none of nnU-Net's, or a case is in several folds.
        FileExistsError: ``output`` holds a cases.csv that no evaluation has written.
        OSError: nothing can be written into ``output``.
    """
    from nnunet_mamba.data.formats.dataset_json import read_dataset_json
    from nnunet_mamba.evaluation.case_table import write_case_table

    summaries = _summaries(results)
    if any(fold_of(path.absolute().parent.parent) == ALL for path in summaries):
        _LOGGER.warning(
            f"{summaries[0]} is of the fold all, which is validated with the cases that it was trained with: these "
            "scores tell nothing of new cases"
        )
    dataset_json = dataset_json or _dataset_json(results)
    names = None if dataset_json is None else read_dataset_json(dataset_json).labels.names
    of_summaries = {summary: read_summary(summary, names=names) for summary in summaries}
    cases = [case for found in of_summaries.values() for case in found]
    _refuse_repeated(cases, summaries)
    _warn_of_other_split(of_summaries)
    cases.sort(key=lambda case: case.identifier)
    # Refuse cases of other labels before anything is written.
    score_labels(cases)
    output = output or (results.parent if results.is_file() else results)
    refuse_output(output, has_summary=False)
    write_case_table(cases, output / CASES)
    summary = summaries[0] if len(summaries) == 1 else results
    return Evaluation(cases=cases, summary=summary, table=output / CASES)


def _warn_of_other_split(of_summaries: Mapping[Path, Sequence[ScoredCase]]) -> None:
    """Say which folds were validated with other cases than their split has, where the files lie as nnU-Net's do."""
    from nnunet_mamba.data.splits.validated_cases import other_validation

    validated: dict[str, list[str]] = {}
    training = None
    for summary, cases in of_summaries.items():
        folder = summary.absolute().parent.parent
        fold, model = fold_of(folder), TrainedModel.of_fold(folder)
        if fold is not None and model is not None and validation_summary(folder) == summary.absolute():
            training = model
            validated[fold] = [case.identifier for case in cases]
    if training is None:
        return
    try:
        problem = other_validation(training.dataset, validated)
    except ValueError as error:
        problem = f"nobody has checked that its folds were validated by their split: {error}"
    if problem is not None:
        _LOGGER.warning(f"{training.folder}: {problem}")


def _summaries(results: Path) -> list[Path]:
    if results.is_file():
        return [results]
    for path in (results / SUMMARY, validation_summary(results)):
        if path.is_file():
            return [path]
    folds = {fold_of(path): validation_summary(path) for path in sorted(results.glob(fold_name("*")))}
    there = {fold: path for fold, path in folds.items() if fold is not None and path.is_file()}
    of_split = [path for fold, path in there.items() if fold != ALL]
    if found := of_split or list(there.values()):
        named = {fold for fold in (*folds, *_folds_of_split(results)) if fold is not None}
        open_folds = sorted(named - {ALL, *there}, key=lambda fold: (len(fold), fold))
        if open_folds and of_split:
            _LOGGER.warning(
                f"{results}: {numbered('fold', open_folds)} {'has' if len(open_folds) == 1 else 'have'} no {SUMMARY} "
                "of a validation, so these are the scores of "
                f"{numbered('fold', [fold for fold in there if fold != ALL])} alone; finish "
                f"{'it' if len(open_folds) == 1 else 'them'} for those of all"
            )
        return found
    if trainings := sorted(results.glob(f"*/{fold_name('*')}")):
        raise FileNotFoundError(f"{results} holds trainings, such as {trainings[0].parent}; name one of them")
    missing = "does not exist" if not results.exists() else f"holds no {SUMMARY} of nnU-Net's, nor do its folds"
    raise FileNotFoundError(
        f"{results} {missing}; to score label maps or masks, name the folder of their references after it"
    )


def _folds_of_split(training: Path) -> list[str]:
    """Return the folds that a training is to have; none where nothing tells, or nnU-Net calls no training so."""
    from nnunet_mamba.data.splits.validated_cases import folds_of_split

    try:
        return folds_of_split(TrainedModel.of(training.absolute()).dataset)
    except ValueError:
        # Reading the validations tells of a damaged split.
        return []


def _dataset_json(results: Path) -> Path | None:
    place = results.resolve()
    place = place.parent if place.is_file() else place
    beside = [folder / DATASET_FILE for folder in (place, *place.parents[:_FLOORS_UP])]
    return next((path for path in beside if path.is_file()), None)


def _refuse_repeated(cases: Sequence[ScoredCase], summaries: Sequence[Path]) -> None:
    repeated = [name for name, count in Counter(case.identifier for case in cases).items() if count > 1]
    if repeated:
        shown = ", ".join(sorted(repeated)[:_SHOWN_NAMES]) + (", …" if len(repeated) > _SHOWN_NAMES else "")
        raise ValueError(
            f"{how_many(len(repeated), 'case is', 'cases are')} there more than once in "
            f"{', '.join(map(str, summaries))}: {shown}; name one fold, or one {SUMMARY}"
        )
