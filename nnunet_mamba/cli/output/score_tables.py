"""Tables of scores on standard output, and the notes beside them on standard error."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnunet_mamba.cli.output.console import progress_console, results_console
from nnunet_mamba.system.counts import how_many

if TYPE_CHECKING:
    from rich.table import Table

    from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
    from nnunet_mamba.evaluation.paper_protocols import ProtocolScore
    from nnunet_mamba.evaluation.protocols import LabelScores

_RATES = ("sensitivity", "specificity", "accuracy", "precision")


def print_scores(scores: "Sequence[LabelScores]") -> None:
    """Print every label in nnU-Net's protocol beside the skin papers'."""
    table = _table(
        "mean over cases: nnU-Net's protocol; pooled pixels: the skin papers' protocol",
        ("label",),
        ("cases", "mean Dice\nper case", "mean IoU\nper case"),
        tuple(f"pooled\n{name}" for name in ("DSC", "foreground IoU", *_RATES)),
    )
    for row in scores:
        ratios = (row.mean_case_dice, row.mean_case_iou, row.pooled.dice, row.pooled.iou)
        _add(table, [row.label], row.n_cases, *map(_ratio, (*ratios, *(getattr(row.pooled, name) for name in _RATES))))
    results_console().print(table)


def print_distances(scores: "Sequence[LabelScores]", distances: "MeasuredDistances") -> None:
    """Print the mean distances of every label, the convention, and how empty masks count."""
    from nnunet_mamba.evaluation.measured_distances import EMPTY_RULE

    unit = distances.unit
    headings = ("cases", "both\nempty", "one\nempty", f"HD95\n{unit}", f"ASSD\n{unit}")
    nsd = () if distances.tolerance is None else (f"NSD at\n{distances.tolerance:g} {unit}",)
    table = _table(f"distances, mean over cases: {distances.convention_text}", ("label",), headings, nsd)
    for row in scores:
        if row.distances is None:
            continue
        n_one_empty = row.n_empty_reference + row.n_empty_prediction
        lengths = [_length(row.distances.hd95), _length(row.distances.assd)]
        shown_nsd = [_ratio(row.distances.nsd)] if nsd else []
        _add(table, [row.label], row.n_cases, row.n_empty, n_one_empty, *lengths, *shown_nsd)
    console = results_console()
    console.print(table)
    console.print(EMPTY_RULE, markup=False)


def print_protocols(
    scores: "Sequence[ProtocolScore]", *, batch_size: int, distances: "MeasuredDistances | None"
) -> None:
    """Print what every protocol says of every label.

    Args:
        scores: of all protocols.
        batch_size: of the batch-pooled protocol.
        distances: that HD95 comes from, None if they were not measured.
    """
    title = f"the papers' protocols, from the same counts; batches of {how_many(batch_size, 'case')}"
    if distances is not None:
        title += f"; HD95: {distances.convention_text}"
    hd95 = () if distances is None else (f"HD95\n{distances.unit}",)
    table = _table(title, ("protocol", "label"), ("Dice", "IoU"), hd95)
    for row in scores:
        _add(
            table, [row.protocol, row.label], _ratio(row.dice), _ratio(row.iou), *([_length(row.hd95)] if hd95 else [])
        )
    results_console().print(table)


def print_notes(scores: "Sequence[LabelScores]") -> None:
    """Tell which cases have no score or count as 0."""
    console = progress_console()
    for row in scores:
        if row.n_empty:
            console.print(
                f"{row.label}: {how_many(row.n_empty, 'case has', 'cases have')} it neither in the reference nor in "
                "the prediction: no Dice (NaN), left out of the mean; all pixels are true negatives in the pooled "
                "scores.",
                markup=False,
            )
        if row.n_empty_reference:
            console.print(
                f"{row.label}: {how_many(row.n_empty_reference, 'case has', 'cases have')} it in the prediction only: "
                "a Dice of 0, in the mean; its pixels count as false positives in the pooled scores.",
                markup=False,
            )


def _table(title: str, names: Sequence[str], *numbers: Sequence[str]) -> "Table":
    from rich.table import Table

    table = Table(title=title)
    # A terminal that is too narrow breaks a name and never cuts it.
    for heading in names:
        table.add_column(heading, overflow="fold")
    for heading in [heading for headings in numbers for heading in headings]:
        is_wide = heading.startswith("pooled")
        table.add_column(heading, justify="right", overflow="fold", no_wrap=not is_wide)
    return table


def _add(table: "Table", names: Sequence[str], *values: object) -> None:
    from rich.markup import escape

    table.add_row(*map(escape, names), *map(str, values))


def _ratio(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.4f}"


def _length(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.2f}"
