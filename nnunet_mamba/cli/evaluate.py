"""``nnunet-mamba evaluate``: stock nnU-Net counts the pixels, both protocols are printed side by side."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nnunet_mamba.report.statistics import LabelScores, ScoredCase


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
) -> None:
    """Score predictions: mean per-case Dice (nnU-Net) beside pooled-pixel scores (skin papers)."""
    folder = output or predictions
    try:
        cases = evaluate_folders(
            predictions,
            labels,
            dataset_json or labels.resolve().parent / "dataset.json",
            output=folder,
            allow_missing=allow_missing,
            processes=processes,
        )
    except (OSError, ValueError) as error:
        typer.secho(f"Error: {error}", fg="red", err=True)
        raise typer.Exit(1) from error

    from nnunet_mamba.report.statistics import score_labels

    scores = score_labels(cases)
    if as_json:
        files = {"summary": str(folder / "summary.json"), "cases": str(folder / "cases.csv")}
        print(json.dumps({"n_cases": len(cases), "labels": [row.as_dict() for row in scores], **files}, indent=2))
    else:
        _print_scores(scores)
        print(f"{folder / 'summary.json'} (nnU-Net)\n{folder / 'cases.csv'} (one line per case and label)")


def evaluate_folders(
    predictions: Path,
    labels: Path,
    dataset_json: Path,
    *,
    output: Path,
    allow_missing: bool = False,
    processes: int = 2,
) -> "list[ScoredCase]":
    """Score label maps with nnU-Net's own evaluation and write summary.json and cases.csv.

    Args:
        predictions: folder of predicted label maps.
        labels: folder of reference label maps of the same names.
        dataset_json: names the labels or regions and the file ending.
        output: created if it is not there.
        allow_missing: score the predicted cases only; otherwise a label without prediction is an error.
        processes: that read and count.

    Returns:
        The cases, sorted by identifier.

    Raises:
        FileNotFoundError: a folder, a prediction or a label is missing; lists all of them.
        ValueError: files are damaged or have other values, shapes or places, or the file is no dataset.json; lists all.
    """
    from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    from nnunet_mamba.report.collect import label_names, read_json, read_summary, write_case_table
    from nnunet_mamba.report.label_map_checks import check_label_maps, label_values

    dataset = read_json(dataset_json)
    if missing := {"labels", "file_ending"} - set(dataset):
        raise ValueError(f"{dataset_json} has no {sorted(missing)}; expected the dataset.json of an nnU-Net data set")
    names = _paired_files(predictions, labels, dataset["file_ending"], allow_missing=allow_missing)
    reader = determine_reader_writer_from_dataset_json(dataset, str(labels / names[0]), verbose=False)()
    check_label_maps(predictions, labels, names, reader, label_values(dataset))
    manager = LabelManager(dataset["labels"], regions_class_order=dataset.get("regions_class_order"))
    output.mkdir(parents=True, exist_ok=True)
    compute_metrics_on_folder(
        str(labels),
        str(predictions),
        str(output / "summary.json"),
        reader,
        dataset["file_ending"],
        manager.foreground_regions if manager.has_regions else manager.foreground_labels,
        manager.ignore_label,
        num_processes=min(processes, len(names)),
    )
    cases = read_summary(output / "summary.json", names=label_names(dataset))
    write_case_table(cases, output / "cases.csv")
    return cases


def _paired_files(predictions: Path, labels: Path, file_ending: str, *, allow_missing: bool) -> list[str]:
    """Return the names that both folders hold; nnU-Net scores every file among the predictions."""
    for folder, holds in ((predictions, "predictions"), (labels, "labels")):
        if not folder.is_dir():
            raise FileNotFoundError(f"The folder of {holds} {folder} does not exist")
    predicted, reference = (
        {file.name for file in folder.iterdir() if file.name.endswith(file_ending) and not file.name.startswith(".")}
        for folder in (predictions, labels)
    )
    # nnU-Net would score them too.
    if hidden := sorted(file.name for file in predictions.glob(f".*{file_ending}")):
        raise ValueError(
            f"{predictions} holds hidden files, {', '.join(hidden[:5])}{', …' if len(hidden) > 5 else ''}, as macOS "
            "writes beside others; delete them, they are no label maps"
        )
    if not predicted:
        raise FileNotFoundError(f"{predictions} holds no {file_ending} file; dataset.json says that label maps end so")
    problems = []
    if unpredicted := sorted(reference - predicted):
        problems.append((f"labels in {labels} have no prediction in {predictions}", unpredicted))
    if unlabelled := sorted(predicted - reference):
        problems.append((f"predictions in {predictions} have no label in {labels}", unlabelled))
    if allow_missing:
        problems = problems[1:] if unpredicted else problems
    if problems:
        lists = [f"{len(names)} {text}:\n  " + "\n  ".join(names) for text, names in problems]
        hint = "" if allow_missing or not unpredicted else "\nScore what is predicted with --allow-missing."
        raise FileNotFoundError("\n".join(lists) + hint)
    return sorted(predicted)


def _print_scores(scores: "Sequence[LabelScores]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="mean over cases: nnU-Net's protocol; pooled pixels: the skin papers' protocol")
    for heading in ("label", "cases", "mean Dice\nper case", "mean IoU\nper case"):
        table.add_column(heading, justify="left" if heading == "label" else "right")
    for heading in ("DSC", "foreground IoU", "sensitivity", "specificity", "accuracy"):
        table.add_column(f"pooled\n{heading}", justify="right")
    for row in scores:
        pooled = row.pooled
        ratios = (row.mean_case_dice, row.mean_case_iou, pooled.dice, pooled.iou)
        rates = (pooled.sensitivity, pooled.specificity, pooled.accuracy)
        texts = ["n/a" if math.isnan(value) else f"{value:.4f}" for value in (*ratios, *rates)]
        table.add_row(row.label, str(row.n_cases), *texts)
    # As wide as its content where no terminal cuts it: rich assumes 80 columns for a file or a pipe.
    console = Console()
    console = console if console.is_terminal else Console(width=140)
    console.print(table)
    for row in scores:
        if row.n_empty:
            console.print(
                f"{row.label}: {row.n_empty} cases have it neither in the reference nor in the prediction. They have "
                "no Dice (NaN) and are left out of the mean; their pixels count as true negatives in the pooled scores."
            )
        if row.n_empty_reference:
            console.print(
                f"{row.label}: {row.n_empty_reference} cases have it in the prediction only. Their Dice is 0 and in "
                "the mean; their pixels count as false positives in the pooled scores."
            )
