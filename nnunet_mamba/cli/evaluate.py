"""``nnunet-mamba evaluate``: stock nnU-Net counts the pixels, both protocols are printed side by side."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnunet_mamba.cli.options.option_types import ProgressBars
from nnunet_mamba.cli.output.error_texts import errors_as_text
from nnunet_mamba.evaluation.folders import evaluate_folders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nnunet_mamba.evaluation.protocols import LabelScores


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted label maps.", show_default=False)],
    labels: Annotated[Path, typer.Argument(help="Folder of reference label maps.", show_default=False)],
    dataset_json: Annotated[
        Path | None,
        typer.Option(
            help="dataset.json of the data set: labels, regions, file ending.", show_default="beside the folder LABELS"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for summary.json and cases.csv; the predictions' folder if not given."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score what is predicted; labels without prediction are no error.")
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="Processes that read and count.")] = 2,
    progress: ProgressBars = True,
) -> None:
    """Score predictions: mean per-case Dice (nnU-Net) beside pooled-pixel scores (skin papers)."""
    with errors_as_text(is_conversion=False, continues=False, workers="--processes 1"):
        done = evaluate_folders(
            predictions,
            labels,
            dataset_json,
            output=output,
            allow_missing=allow_missing,
            processes=processes,
            progress=progress,
        )
    if as_json:
        print(json.dumps(done.as_dict(), indent=2))
        return
    scores = done.scores
    _print_scores(scores)
    _print_notes(scores)
    print(f"{done.summary} (nnU-Net)\n{done.table} (one line per case and label)")


def _print_scores(scores: "Sequence[LabelScores]") -> None:
    from rich.markup import escape
    from rich.table import Table

    from nnunet_mamba.cli.output.console import results_console

    table = Table(title="mean over cases: nnU-Net's protocol; pooled pixels: the skin papers' protocol")
    for heading in ("label", "cases", "mean Dice\nper case", "mean IoU\nper case"):
        # A terminal that is too narrow breaks a name and never cuts it.
        is_label = heading == "label"
        table.add_column(heading, justify="left" if is_label else "right", overflow="fold", no_wrap=not is_label)
    for heading in ("DSC", "foreground IoU", "sensitivity", "specificity", "accuracy"):
        table.add_column(f"pooled\n{heading}", justify="right", overflow="fold")
    for row in scores:
        pooled = row.pooled
        ratios = (row.mean_case_dice, row.mean_case_iou, pooled.dice, pooled.iou)
        rates = (pooled.sensitivity, pooled.specificity, pooled.accuracy)
        texts = ["n/a" if math.isnan(value) else f"{value:.4f}" for value in (*ratios, *rates)]
        table.add_row(escape(row.label), str(row.n_cases), *texts)
    results_console().print(table)


def _print_notes(scores: "Sequence[LabelScores]") -> None:
    from nnunet_mamba.cli.output.console import progress_console

    console = progress_console()
    for row in scores:
        if row.n_empty:
            console.print(
                f"{row.label}: {row.n_empty} cases have it neither in the reference nor in the prediction. They have "
                "no Dice (NaN) and are left out of the mean; their pixels are true negatives in the pooled scores.",
                markup=False,
            )
        if row.n_empty_reference:
            console.print(
                f"{row.label}: {row.n_empty_reference} cases have it in the prediction only. Their Dice is 0 and in "
                "the mean; their pixels count as false positives in the pooled scores.",
                markup=False,
            )
