"""``nnunet-mamba evaluate``: stock nnU-Net counts the pixels, all protocols are printed side by side."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.options.option_types import ProgressBars
from nnunet_mamba.cli.output.error_texts import errors_as_text
from nnunet_mamba.cli.output.score_tables import print_distances, print_notes, print_protocols, print_scores
from nnunet_mamba.evaluation.distances.conventions import CONVENTIONS, SURFACE, DistanceMeasure
from nnunet_mamba.evaluation.finished_results import evaluate_results
from nnunet_mamba.evaluation.folders import evaluate_folders
from nnunet_mamba.evaluation.paper_protocols import Batches, protocol_scores, read_batch_order

if TYPE_CHECKING:
    from nnunet_mamba.evaluation.folders import Evaluation


def evaluate(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="Folder of predicted label maps or masks; without LABELS, a summary.json of nnU-Net's or a folder of "
            "its results.",
            show_default=False,
        ),
    ],
    labels: Annotated[
        Path | None, typer.Argument(help="Folder of reference label maps or masks.", show_default=False)
    ] = None,
    dataset_json: Annotated[
        Path | None,
        typer.Option(
            help="dataset.json of the data set: labels, regions, file ending. Masks of 0 and 255 need none.",
            show_default="beside the folder LABELS",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for summary.json and cases.csv; the predictions' folder if not given."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
    distances: Annotated[bool, typer.Option("--distances", help="Measure HD95, ASSD and NSD, too.")] = False,
    convention: Annotated[
        str | None,
        typer.Option(
            help=f"Of distances: {' or '.join(CONVENTIONS)} (the Synapse papers', in voxels); with --distances.",
            show_default=SURFACE,
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0, help="Of NSD; with --distances.", show_default="1 mm, or 2 pixels where files tell no spacing"
        ),
    ] = None,
    protocols: Annotated[bool, typer.Option("--protocols", help="Print the scores in every paper's protocol.")] = False,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Cases of a batch in the batch-pooled protocol; with --protocols.",
            show_default=str(Batches().size),
        ),
    ] = None,
    batch_order: Annotated[
        Path | None,
        typer.Option(
            help="Text file with the cases in the order of batches, one a line; with --protocols.",
            show_default="by name",
        ),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score what is predicted; labels without prediction are no error.")
    ] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that read and count.", show_default="one per core")
    ] = None,
    progress: ProgressBars = True,
) -> None:
    """Score predictions: mean per-case Dice (nnU-Net) beside pooled-pixel scores (skin papers).

    Without LABELS, nnU-Net's own counts are read from its summary.json, and no image is opened: PREDICTIONS is then
    that file, its folder, a fold, or the folder of a training, whose folds count together.
    """
    with errors_as_text(is_conversion=False, continues=False, workers="--processes 1"):
        batches = _batches(batch_size, batch_order, is_asked=protocols)
        is_measured = distances or convention is not None or tolerance is not None
        if labels is None:
            if is_measured:
                raise ValueError(
                    "Distances are measured in label maps: name the folder of references after PREDICTIONS"
                )
            done = evaluate_results(predictions, dataset_json, output=output)
        else:
            measure = DistanceMeasure(convention=convention or SURFACE, tolerance=tolerance) if is_measured else None
            done = evaluate_folders(
                predictions,
                labels,
                dataset_json,
                output=output,
                allow_missing=allow_missing,
                processes=processes,
                progress=progress,
                distances=measure,
            )
        _print(done, batches, as_json=as_json)


def _batches(size: int | None, order: Path | None, *, is_asked: bool) -> Batches | None:
    """Return the batches of the batch-pooled protocol; None where no protocols are asked for."""
    if not is_asked:
        given = {"--batch-size": size, "--batch-order": order}
        if named := [name for name, value in given.items() if value is not None]:
            raise ValueError(f"{' and '.join(named)} means nothing without --protocols; add it, or leave this out")
        return None
    identifiers = None if order is None else read_batch_order(order)
    return Batches(order=identifiers) if size is None else Batches(size=size, order=identifiers)


def _print(done: "Evaluation", batches: Batches | None, *, as_json: bool) -> None:
    in_protocols = [] if batches is None else protocol_scores(done.cases, distances=done.distances, batches=batches)
    if as_json:
        shown = done.as_dict()
        if batches is not None:
            shown["protocols"] = [row.as_dict() for row in in_protocols]
        print(json.dumps(shown, indent=2))
        return
    scores = done.scores
    print_scores(scores)
    if done.distances is not None:
        print_distances(scores, done.distances)
    if batches is not None:
        print_protocols(in_protocols, batch_size=batches.size, distances=done.distances)
    print_notes(scores)
    print(f"{done.summary} (nnU-Net)\n{done.table} (one line per case and label)")
