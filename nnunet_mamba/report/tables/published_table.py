"""The papers' rows of a data set, marked as what they are: published, by other hands, under their own protocol."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nnunet_mamba.published_results import PublishedRow, published_rows
from nnunet_mamba.published_results.row import UNITS
from nnunet_mamba.report.tables.table import Column, Number, Row, Table

_METRICS = {"dice": "Dice", "iou": "IoU", "sensitivity": "SE", "specificity": "SP", "accuracy": "ACC"}


@dataclass(frozen=True, kw_only=True)
class PublishedPoint:
    """A row in the scatter of Dice over parameters.

    Args:
        name: of the method and its paper.
        n_parameters: numbers that it learns.
        dice: 0 to 1.
        multiply_adds: as printed; None where nothing is.
    """

    name: str
    n_parameters: float
    dice: float
    multiply_adds: float | None


def published_table(dataset: str) -> Table:
    """Return what the papers print of a data set, without their ablations.

    Args:
        dataset: of ``published_results.DATASETS``.
    """
    rows = list(_rows(dataset))
    columns = [
        *(
            Column(key=key, heading=heading, decimals=4)
            for key, heading in _METRICS.items()
            if any(row.printed(key) for row in rows)
        ),
        *([Column(key="hd95", heading="HD95", decimals=2)] if any(row.printed("hd95") for row in rows) else []),
        Column(key="parameters", heading="parameters", unit="M", decimals=3, scale=1e-6),
        Column(key="multiply_adds", heading="GMACs", decimals=3, scale=1e-9),
        Column(key="protocol", heading="protocol"),
        Column(key="split", heading="test images"),
        Column(key="source", heading="source"),
    ]
    return Table(
        key="published",
        title=f"Published, by other hands and under their protocols: {dataset}",
        first_heading="method",
        columns=columns,
        rows=[_row(row) for row in rows],
        notes=list(dict.fromkeys(_remarks(rows))),
    )


def published_points(dataset: str) -> list[PublishedPoint]:
    """Return the rows that print parameters and Dice; of a method that several tables print, each pair once."""
    points: dict[tuple[str, float, float], PublishedPoint] = {}
    for row in _rows(dataset):
        parameters, dice, operations = (row.printed(name) for name in ("parameters", "dice", "flops"))
        if parameters is None or dice is None:
            continue
        points.setdefault(
            (row.method, parameters.value, dice.value),
            PublishedPoint(
                name=row.method,
                n_parameters=parameters.value,
                dice=dice.value,
                multiply_adds=None if operations is None else operations.value,
            ),
        )
    return list(points.values())


def _rows(dataset: str) -> Iterator[PublishedRow]:
    return (row for row in published_rows(dataset=dataset) if not row.table.is_ablation)


def _row(row: PublishedRow) -> Row:
    cells: dict[str, Number | str] = {
        "protocol": row.setting.protocol,
        "split": "" if row.setting.n_test is None else str(row.setting.n_test),
        "source": f"{row.table.paper.authors} {row.table.paper.year}, {row.table.number}",
    }
    for metric, key in (*((name, name) for name in (*_METRICS, "hd95", "parameters")), ("flops", "multiply_adds")):
        if (printed := row.printed(metric)) is not None:
            cells[key] = Number(value=printed.value, spread=_spread(printed.spread, printed.column.unit))
    return Row(name=row.method, cells=cells, is_published=True)


def _spread(text: str, unit: str) -> float:
    return float(text) * UNITS[unit] if text else math.nan


def _remarks(rows: Sequence[PublishedRow]) -> Iterator[str]:
    yield (
        "Measured by others, on their own splits and under their own protocols, mostly at 256×256 with the best epoch "
        "chosen by the test images. A figure of yours is comparable only with one of the same protocol, split and "
        "image size. GMACs are what the papers call FLOPs."
    )
    for row in rows:
        for remark in (*row.table.paper.remarks, *row.table.remarks):
            yield f"{row.table.paper.title}: {remark}"
        for remark in row.remarks:
            yield f"{row.method}, {row.table.number}: {remark}"
