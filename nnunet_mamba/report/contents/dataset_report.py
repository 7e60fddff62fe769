"""What a report of a data set shows: its models, how they differ, their cases, and how all of it was made."""

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nnunet_mamba.comparison.case_groups import read_groups
from nnunet_mamba.comparison.comparing import Comparison, ComparisonOptions, compare_models
from nnunet_mamba.comparison.finished_trainings import reference_folder
from nnunet_mamba.comparison.sentences import notes
from nnunet_mamba.comparison.statistics.paired_difference import Resampling
from nnunet_mamba.data.formats.dataset_json import read_dataset_json
from nnunet_mamba.report.contents.case_panels import CaseFolders, CasePanel, UndrawableCaseError, draw_case
from nnunet_mamba.report.contents.chosen_cases import ChosenCase, extreme_cases, missed_cases
from nnunet_mamba.report.contents.gathering import Gathered
from nnunet_mamba.report.contents.reported_model import NetworkCost, ReportedModel
from nnunet_mamba.report.contents.training_classes import ClassShare, class_shares
from nnunet_mamba.results.layout import validation_folder
from nnunet_mamba.results.trained_model import TrainedModel
from nnunet_mamba.system.counts import how_many
from nnunet_mamba.system.machine import processor, usable_cores
from nnunet_mamba.system.nnunet_folders import nnunet_folder_if_set

# More do not help, and each picture takes 20 to 40 kB.
MOST_MISSED_SHOWN = 6
_PACKAGES = ("nnunet-mamba", "nnunetv2", "torch", "numba", "numpy", "scipy")


@dataclass(frozen=True, kw_only=True)
class PatientTable:
    """Where it is told which cases show one patient or lesion.

    Args:
        file: a table of image and patient or lesion; None takes the record of the data set.
        column: of the table that counts; None takes what it has.
    """

    file: Path | None = None
    column: str | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetReport:
    """What a report shows.

    Args:
        dataset: name of the data set's folder.
        models: at least one.
        folds: that are shown.
        left_out: trainings that are there and not shown, each with the reason.
        comparison: of all pairs of models; None for a single one.
        comparison_notes: what has to be known of it.
        extremes: the best, the median and the worst case, with outlines.
        missed: cases that no model finds, with outlines, the worst first.
        n_missed: such cases, those without a picture included.
        undrawn: why cases have no picture.
        classes: how much of the data set each label is.
        papers: data set whose published rows are shown; None shows none.
        facts: name and value: folds, machine, versions, …
    """

    dataset: str
    models: Sequence[ReportedModel]
    folds: Sequence[str]
    left_out: Sequence[str] = ()
    comparison: Comparison | None = None
    comparison_notes: Sequence[str] = ()
    extremes: Sequence[CasePanel] = ()
    missed: Sequence[CasePanel] = ()
    n_missed: int = 0
    undrawn: Sequence[str] = ()
    classes: Sequence[ClassShare] = ()
    papers: str | None = None
    facts: Sequence[tuple[str, str]] = field(default=())


def report_of(
    gathered: Gathered,
    *,
    costs: Mapping[str, NetworkCost],
    papers: str | None = None,
    patients: PatientTable | None = None,
    resampling: Resampling | None = None,
    in_words: Callable[[str], str] = str,
) -> DatasetReport:
    """Compare the models, choose cases, and draw these.

    Args:
        gathered: the models and their scores.
        costs: of the networks, by the models' names; a model may have none.
        papers: data set whose published rows are shown.
        patients: of the cases; None takes what the data set's record tells.
        resampling: of the intervals.
        in_words: puts the library's settings into the reader's words, such as options of a command.

    Raises:
        OSError: the table of patients cannot be read.
        ValueError: the models were not scored on the same cases; or the record of a data set is damaged.
    """
    models = [replace(model, cost=costs.get(model.name)) for model in gathered.models]
    # Models on other cases are refused before their cases are ranked together.
    comparison = _compared(models, gathered.dataset, patients or PatientTable(), resampling or Resampling())
    extremes, missed = extreme_cases(models), missed_cases(models)
    drawn, undrawn = _drawn([*extremes, *missed[:MOST_MISSED_SHOWN]], models, gathered.dataset)
    return DatasetReport(
        dataset=gathered.dataset,
        models=models,
        folds=gathered.folds,
        left_out=gathered.left_out,
        comparison=comparison,
        comparison_notes=[] if comparison is None else [in_words(note) for note in notes(comparison)],
        extremes=[panel for panel in drawn if panel.case.why != "missed"],
        missed=[panel for panel in drawn if panel.case.why == "missed"],
        n_missed=len(missed),
        undrawn=undrawn,
        classes=class_shares(models[0].repeats[0].cases),
        papers=papers,
        facts=list(_facts(gathered, models)),
    )


def _compared(
    models: Sequence[ReportedModel], dataset: str, patients: PatientTable, resampling: Resampling
) -> Comparison | None:
    if len(models) < 2:
        return None
    raw = nnunet_folder_if_set("nnUNet_raw")
    groups = read_groups(
        models[0].identifiers,
        None if raw is None else raw / dataset,
        table=patients.file,
        group_column=patients.column,
    )
    return compare_models([model.compared for model in models], groups, ComparisonOptions(resampling=resampling))


def _drawn(
    cases: Sequence[ChosenCase], models: Sequence[ReportedModel], dataset: str
) -> tuple[list[CasePanel], list[str]]:
    """Return the pictures of cases, and why others have none."""
    raw = nnunet_folder_if_set("nnUNet_raw")
    if raw is None:
        return [], ["nnUNet_raw is not set, so no images are shown"]
    try:
        references = reference_folder(dataset)
    except FileNotFoundError as error:
        return [], [str(error)]
    # Of several seeds, the first one's outlines.
    trainings = [model.repeats[0] for model in models]
    folders = CaseFolders(
        images=raw / dataset / "imagesTr",
        references=references,
        predictions={
            model.name: {
                name: validation_folder(TrainedModel.of(training.place).fold(fold))
                for name, fold in training.folds.items()
            }
            for model, training in zip(models, trainings, strict=True)
        },
        file_ending=read_dataset_json(TrainedModel.of(trainings[0].place).dataset_json_file).file_ending,
    )
    panels, undrawn = [], []
    for case in cases:
        try:
            panels.append(draw_case(case, folders))
        except UndrawableCaseError as error:
            undrawn.append(str(error))
    return panels, undrawn


def _facts(gathered: Gathered, models: Sequence[ReportedModel]) -> Iterator[tuple[str, str]]:
    names = [TrainedModel.of(training.place).name for model in models for training in model.repeats]
    yield "Data set", f"{gathered.dataset}, {how_many(len(models[0].identifiers), 'case')}"
    yield "Folds", f"{', '.join(gathered.folds)}: each case is predicted by the fold that has not trained on it"
    yield "Configuration", ", ".join(dict.fromkeys(name.configuration for name in names))
    yield "Plans", ", ".join(dict.fromkeys(name.plans for name in names))
    if seeds := {model.name: model.seeds for model in models if len(model.seeds) > 1}:
        yield "Seeds", "; ".join(f"{name}: {_told_seeds(of_model)}" for name, of_model in seeds.items())
    if gathered.left_out:
        yield "Not shown", "; ".join(gathered.left_out)
    yield "Report made on", f"{processor()}, {usable_cores()} cores, {platform.system()} {platform.release()}"
    yield "Versions", ", ".join([f"Python {platform.python_version()}", *_versions()])


def _told_seeds(seeds: Sequence[int | None]) -> str:
    return ", ".join("none was set" if seed is None else str(seed) for seed in seeds)


def _versions() -> Iterator[str]:
    for package in _PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
