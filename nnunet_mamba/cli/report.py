"""``nnunet-mamba report``: the trainings of a data set on one page, with tables and figures for papers beside it."""

import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.options.list_options import parse_names
from nnunet_mamba.cli.options.model_options import parse_folds
from nnunet_mamba.cli.options.option_names import with_option_names
from nnunet_mamba.cli.options.option_types import ProgressBars
from nnunet_mamba.cli.output.error_texts import errors_as_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure
    from nnunet_mamba.report.contents.reported_model import NetworkCost, ReportedModel

# Published rows that fit data sets of these names.
_PAPERS = {
    r"isic[_-]?(20)?17": "isic17",
    r"isic[_-]?(20)?18": "isic18",
    "ph2": "ph2",
    "synapse": "synapse",
    "lgg": "lgg",
}
_SHOWN_NAMES = 5


def report(
    dataset: Annotated[
        str, typer.Argument(help="Name or number of a data set with finished trainings.", show_default=False)
    ],
    configuration: Annotated[str | None, typer.Option("--configuration", "-c", help="2d, 3d_fullres, …")] = None,
    trainers: Annotated[
        list[str] | None,
        typer.Option(
            "--trainers",
            "--trainer",
            "-tr",
            metavar="A,B",
            help="Trainers as given to -tr, or TRAINER__PLANS__CONFIGURATION.",
            show_default="all that have finished",
        ),
    ] = None,
    folds: Annotated[str | None, typer.Option(help="Such as 0,1.", show_default="all of splits_final.json")] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page; tables and figures go into a folder beside it.")
    ] = Path("report.html"),
    page_only: Annotated[
        bool, typer.Option("--page-only", help="Write no tables and figures beside the page.")
    ] = False,
    distances: Annotated[bool, typer.Option(help="Measure HD95 and NSD in the label maps.")] = True,
    costs: Annotated[bool, typer.Option(help="Count parameters and operations, and measure latency here.")] = True,
    with_papers: Annotated[
        bool, typer.Option("--with-papers", help="Show what papers print of this data set, marked as published.")
    ] = False,
    papers: Annotated[
        str | None,
        typer.Option(
            help="Whose published rows: isic17, isic18, ph2, synapse or lgg.",
            show_default="told by the data set's name",
        ),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(
            help="Table with image and patient or lesion, which are resampled whole in comparisons.",
            show_default="what nnunet-mamba convert recorded in nnUNet_raw",
        ),
    ] = None,
    group_column: Annotated[str | None, typer.Option(help="Column of --groups that counts.")] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that measure distances.", show_default="one per core")
    ] = None,
    progress: ProgressBars = True,
) -> None:
    """Show the trainings of a data set on one page: scores, differences, costs, outlines, curves, published figures.

    The page is one HTML file that needs nothing else. Beside it lie its tables as Markdown, CSV and LaTeX, and its
    figures as PNG and SVG. Trainings of one trainer with several seeds are one model, with ± over the seeds.
    """
    with errors_as_text(is_conversion=False, continues=False, workers="--processes 1"):
        from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure
        from nnunet_mamba.report.contents.dataset_report import PatientTable, report_of
        from nnunet_mamba.report.contents.gathering import ReportRequest, gather
        from nnunet_mamba.report.writing import write_dataset_report

        _refuse_output(output, page_only=page_only)
        shown = _papers_of(dataset) if with_papers and papers is None else papers
        _refuse_unknown(shown)
        gathered = gather(
            ReportRequest(
                dataset=dataset,
                trainers=parse_names(trainers, option="--trainers") if trainers else None,
                configuration=configuration,
                folds=parse_folds(folds),
                distances=DistanceMeasure() if distances else None,
                paper_distances=_paper_distances(shown) if distances else None,
                processes=processes,
                progress=progress,
            )
        )
        found = _costs(gathered.models) if costs else {}
        patients = PatientTable(file=groups, column=group_column)
        made = report_of(gathered, costs=found, papers=shown, patients=patients, in_words=with_option_names)
        written = write_dataset_report(made, output, page_only=page_only)
        for name in gathered.left_out:
            print(f"Not shown: {name}", file=sys.stderr)
        if len(written) > 1:
            _tell_other_files(written[1].parent, written)
        for file in written[:1] if len(written) == 1 else (written[0], written[1].parent):
            print(file)


def _refuse_output(page: Path, *, page_only: bool) -> None:
    """Raise before anything is read if the page, or the files beside it, could not be written."""
    from nnunet_mamba.report.writing import files_folder
    from nnunet_mamba.system.folder_lock import refuse_if_unwritable

    if page.suffix.lower() not in (".html", ".htm") or page.is_dir():
        found = " is a folder" if page.is_dir() else ""
        raise ValueError(f"`output` {page}{found}: expected the name of a page, such as report.html")
    for folder in (page.resolve().parent, *(() if page_only else (files_folder(page),))):
        refuse_if_unwritable(folder, way_out="choose another `output`")


def _tell_other_files(folder: Path, written: "Sequence[Path]") -> None:
    """Tell which files lie among those of a report: an earlier one with other tables may have left them."""
    others = sorted({path.name for path in folder.glob("[!.]*")} - {path.name for path in written})
    if others:
        shown = ", ".join(others[:_SHOWN_NAMES]) + (", …" if len(others) > _SHOWN_NAMES else "")
        print(f"Note: {folder} also holds {shown}, which this report has not written", file=sys.stderr)


def _papers_of(dataset: str) -> str:
    from nnunet_mamba.results.model_choice import find_dataset_name
    from nnunet_mamba.system.nnunet_folders import nnunet_folder

    folder = find_dataset_name(nnunet_folder("nnUNet_results"), dataset)
    for pattern, name in _PAPERS.items():
        if re.search(pattern, folder, re.IGNORECASE):
            return name
    raise ValueError(
        f"the name {folder} does not tell whose published rows fit it; name them with `papers`, such as isic17"
    )


def _refuse_unknown(papers: str | None) -> None:
    from nnunet_mamba.published_results import DATASETS

    if papers is not None and papers not in DATASETS:
        raise ValueError(f"`papers` {papers!r} has no published rows, expected one of {', '.join(DATASETS)}")


def _paper_distances(papers: str | None) -> "DistanceMeasure | None":
    """Return how the papers measure distances beside which figures are shown; None where they measure none."""
    from nnunet_mamba.evaluation.distances.conventions import MEDPY, DistanceMeasure
    from nnunet_mamba.evaluation.paper_protocols import SYNAPSE
    from nnunet_mamba.report.tables.published_rows import published_protocols

    is_synapse = papers is not None and SYNAPSE in published_protocols(papers)
    return DistanceMeasure(convention=MEDPY) if is_synapse else None


def _costs(models: "Sequence[ReportedModel]") -> "dict[str, NetworkCost]":
    """Return what the network of each model costs; without one for a model whose network cannot be built here."""
    from nnunet_mamba.prediction.network_cost import measure_cost
    from nnunet_mamba.report.contents.reported_model import NetworkCost
    from nnunet_mamba.system.machine import processor, usable_cores

    found = {}
    for model in models:
        training = model.repeats[0]
        try:
            with warnings.catch_warnings():
                # Of libraries about each other, when nnU-Net builds its networks.
                warnings.simplefilter("ignore")
                cost = measure_cost(training.place, fold=next(iter(training.folds.values())))
        except (OSError, ValueError, ModuleNotFoundError) as error:
            print(f"Note: no costs of {model.name}: {error}", file=sys.stderr)
            continue
        found[model.name] = NetworkCost(
            n_parameters=cost.complexity.n_parameters,
            multiply_adds=cost.complexity.multiply_adds,
            flops=cost.complexity.flops,
            latency_ms=cost.latency_ms,
            image_shape=cost.image_shape,
            device=f"{processor()}, {usable_cores()} cores",
        )
    return found
