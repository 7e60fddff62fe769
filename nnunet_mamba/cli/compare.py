"""``nnunet-mamba compare``: two or more models on the same cases, pair by pair."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.options.list_options import parse_names
from nnunet_mamba.cli.options.model_options import parse_folds
from nnunet_mamba.cli.options.option_types import ProgressBars
from nnunet_mamba.cli.options.path_arguments import refusal_of_path
from nnunet_mamba.cli.output.error_texts import errors_as_text
from nnunet_mamba.evaluation.distances.conventions import CONVENTIONS, SURFACE, DistanceMeasure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nnunet_mamba.comparison.metrics import Metric
    from nnunet_mamba.comparison.scored_model import ScoredModel


def compare(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="DATASET|FOLDER",
            help="Name or number of a data set whose trainings are compared (with --trainers), or two or more folders "
            "of predictions (with --reference).",
            show_default=False,
        ),
    ],
    trainers: Annotated[
        list[str] | None,
        typer.Option(
            "--trainers",
            "--trainer",
            "-tr",
            metavar="A,B",
            help="Trainers as given to -tr, or TRAINER__PLANS__CONFIGURATION.",
            show_default=False,
        ),
    ] = None,
    configuration: Annotated[
        str | None, typer.Option("--configuration", "-c", help="2d, 3d_fullres, …; with --trainers.")
    ] = None,
    folds: Annotated[
        str | None, typer.Option(help="Such as 0,1; with --trainers.", show_default="all of splits_final.json")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Folder of reference label maps or masks.", show_default=False)
    ] = None,
    dataset_json: Annotated[
        Path | None,
        typer.Option(help="dataset.json of the data set; with --reference.", show_default="beside the folder"),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Compare the cases that all have predicted; other references are no error."
        ),
    ] = False,
    metric: Annotated[
        str, typer.Option(help="dice, iou, sensitivity or precision; hd95, assd or nsd, measured in label maps.")
    ] = "dice",
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B", help="Labels or regions to compare.", show_default="all, and their mean"),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Compare all others with this one alone.", show_default="all pairs")
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(
            help="Table with image and patient or lesion, which are resampled whole.",
            show_default="what nnunet-mamba convert recorded in nnUNet_raw",
        ),
    ] = None,
    group_column: Annotated[str | None, typer.Option(help="Column of --groups that counts.")] = None,
    tie: Annotated[
        float, typer.Option(min=0, help="Count scores that differ by at most this as equal, such as 0.005.")
    ] = 0.0,
    convention: Annotated[
        str | None, typer.Option(help=f"Of distances: {' or '.join(CONVENTIONS)}.", show_default=SURFACE)
    ] = None,
    tolerance: Annotated[float | None, typer.Option(min=0, help="Of NSD.", show_default="1 mm, or 2 pixels")] = None,
    resamples: Annotated[int, typer.Option(min=1000, help="Of the bootstrap.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for comparison.json and comparison.csv.", show_default="none is written"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that read and count.", show_default="one per core")
    ] = None,
    progress: ProgressBars = True,
) -> None:
    """Compare models on the same cases: differences, bootstrap intervals, Wilcoxon's test with Holm's correction.

    Trainings are compared on the validation cases of all folds, each predicted by the model that has not seen it;
    folders of predictions on the same references. Cases of one patient are resampled together, where patients are
    known.
    """
    with errors_as_text(is_conversion=False, continues=False, workers="--processes 1"):
        from nnunet_mamba.comparison.case_groups import read_groups
        from nnunet_mamba.comparison.comparing import ComparisonOptions, compare_models
        from nnunet_mamba.comparison.files import comparison_as_dict, refuse_if_no_output, write_comparison
        from nnunet_mamba.comparison.finished_trainings import TrainingsRequest, read_trainings
        from nnunet_mamba.comparison.metrics import find_metric
        from nnunet_mamba.comparison.prediction_folders import FoldersRequest, read_folders
        from nnunet_mamba.comparison.statistics.paired_difference import Resampling
        from nnunet_mamba.system.nnunet_folders import nnunet_folder_if_set

        options = ComparisonOptions(
            metric=find_metric(metric),
            labels=parse_names(label, option="--label") if label else None,
            against=against,
            resampling=Resampling(n_resamples=resamples, seed=seed),
            tie=tie,
        )
        measure = _measure(options.metric, convention=convention, tolerance=tolerance)
        if output is not None:
            refuse_if_no_output(output)
        if trainers:
            _refuse_options("--trainers", {"--reference": reference, "--dataset-json": dataset_json})
            models: Sequence[ScoredModel] = read_trainings(
                TrainingsRequest(
                    dataset=_one_dataset(sources),
                    trainers=parse_names(trainers, option="--trainers"),
                    configuration=configuration,
                    folds=parse_folds(folds),
                    distances=measure,
                    processes=processes,
                    progress=progress,
                )
            )
            raw = nnunet_folder_if_set("nnUNet_raw")
            dataset = None if raw is None else raw / models[0].place.parent.name
        else:
            _refuse_options("folders of predictions", {"--configuration": configuration, "--folds": folds})
            if reference is None:
                raise ValueError(
                    f"{' '.join(sources)}: folders of predictions need `reference`, the folder of references, and the "
                    "trainings of a data set `trainers`, such as A,B"
                )
            models = read_folders(
                FoldersRequest(
                    predictions=_folders(sources),
                    references=reference,
                    dataset_json=dataset_json,
                    allow_missing=allow_missing,
                    distances=measure,
                    processes=processes,
                    progress=progress,
                )
            )
            dataset = reference.resolve().parent
        identifiers = [case.identifier for case in models[0].cases]
        found = read_groups(identifiers, dataset, table=groups, group_column=group_column)
        comparison = compare_models(models, found, options)
        files = [] if output is None else write_comparison(comparison, output)
        if as_json:
            print(json.dumps(comparison_as_dict(comparison), indent=2))
            return
        from nnunet_mamba.cli.output.comparison_table import print_comparison

        print_comparison(comparison)
        for file in files:
            print(file)


def _measure(metric: "Metric", *, convention: str | None, tolerance: float | None) -> DistanceMeasure | None:
    if metric.is_distance:
        measure = DistanceMeasure(convention=convention or SURFACE, tolerance=tolerance)
        if metric.name == "nsd" and measure.convention != SURFACE:
            raise ValueError(f"--convention {convention} has no NSD; compare by --metric hd95 or assd")
        return measure
    _refuse_options(f"--metric {metric.name}", {"--convention": convention, "--tolerance": tolerance})
    return None


def _refuse_options(beside: str, given: dict[str, object]) -> None:
    if named := [name for name, value in given.items() if value is not None]:
        raise ValueError(f"{' and '.join(named)} means nothing beside {beside}; leave it out")


def _one_dataset(sources: "Sequence[str]") -> str:
    if len(sources) != 1:
        raise ValueError(f"--trainers compares trainings of one data set, and {', '.join(sources)} are named; name one")
    return sources[0]


def _folders(sources: "Sequence[str]") -> list[Path]:
    for text in sources:
        if (what := refusal_of_path(text)) is not None:
            raise ValueError(f"FOLDER {text!r}: {what}")
    return list(map(Path, sources))
