"""The papers' rows of a data set, marked as what they are, below one's own figures in the same protocol."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from nnunet_mamba.evaluation.paper_protocols import BATCHES, ISIC, PER_CASE, POOLED, SYNAPSE, Batches
from nnunet_mamba.published_results import PublishedRow
from nnunet_mamba.published_results.row import UNITS, PrintedValue
from nnunet_mamba.report.tables.published_rows import published_protocols, rows_of_dataset
from nnunet_mamba.report.tables.score_figures import OF_PROTOCOLS, ModelFigures, spread_text
from nnunet_mamba.report.tables.score_tables import GMACS, HIGHER, LOWER, PARAMETERS, cost_cells, csv_label
from nnunet_mamba.report.tables.table import Column, Group, Number, Row, Table

_METRICS = {
    "dice": Column(key="dice", heading="Dice", decimals=4, better=HIGHER),
    "iou": Column(key="iou", heading="IoU", decimals=4, better=HIGHER),
    "sensitivity": Column(key="sensitivity", heading="SE", decimals=4, better=HIGHER),
    "specificity": Column(key="specificity", heading="SP", decimals=4, better=HIGHER),
    "accuracy": Column(key="accuracy", heading="ACC", decimals=4, better=HIGHER),
    # Papers call voxels mm, so the heading names neither: a note does.
    "hd95": Column(key="hd95", heading="HD95", decimals=2, better=LOWER),
}
# What people read in the line above a group of rows, programs read in each row.
_ORIGIN = (
    Column(key="protocol", heading="protocol", for_people=False),
    Column(key="split", heading="test images", for_people=False, csv_name="n_test"),
    Column(key="source", heading="source", for_people=False),
)
_HERE = "measured here"
_PROTOCOLS: Mapping[str, str] = {
    PER_CASE: "Per-case mean: the figure of each case, and the mean over cases.",
    POOLED: "Pooled pixels: one figure of the pixels of all cases together, so large lesions count for more.",
    BATCHES: (
        f"Batch-pooled: one figure of the pixels of each batch of {Batches().size} cases, in the order of their names, "
        "and the mean over batches; a batch without the label anywhere is left out."
    ),
    SYNAPSE: (
        "Synapse: Dice and HD95 of each case by medpy, and the mean over cases. An empty prediction scores a Dice of 0 "
        "and an HD95 of 0, and a prediction for an absent label a Dice of 1 and an HD95 of 0, so predicting nothing "
        "improves HD95: read it beside Dice. HD95 counts voxels, whatever papers call them."
    ),
    ISIC: "ISIC 2018: the IoU of each case, where less than 0.65 counts as 0 and two empty masks as 1.",
}


def published_table(dataset: str, models: Sequence[ModelFigures] = ()) -> Table:
    """Return what the papers print of a data set, without their ablations, below one's own figures.

    Args:
        dataset: of ``published_results.DATASETS``.
        models: one's own, scored here in the protocols of the papers.
    """
    rows = rows_of_dataset(dataset)
    columns = [
        *(column for metric, column in _METRICS.items() if any(row.printed(metric) for row in rows)),
        *((PARAMETERS, GMACS) if any(row.printed("parameters") for row in rows) else ()),
        *_ORIGIN,
    ]
    own = [
        _own_row(model, protocol, cells=_own_means(model, protocol, rows), group=group)
        for protocol, group in _own_groups(rows, models)
        for model in models
    ]
    return Table(
        key="published",
        title=_title(dataset, models),
        first_heading="method",
        columns=columns,
        rows=[*own, *_published(rows, columns)],
        notes=list(filter(None, _notes(rows, models))),
    )


def published_label_table(dataset: str, models: Sequence[ModelFigures] = ()) -> Table | None:
    """Return the Dice of each label that the papers print, below one's own; None where they print none.

    Args:
        dataset: of ``published_results.DATASETS``.
        models: one's own, scored here in the protocols of the papers.
    """
    rows = [row for row in rows_of_dataset(dataset) if any(value.column.label for value in row.values)]
    labels = _printed_labels(rows)
    if not labels:
        return None
    columns = [
        Column(
            key=f"dice of {label}" if label else "dice",
            heading=label.replace("_", " ") or "mean",
            decimals=4,
            better=HIGHER,
            csv_name=f"dice_{csv_label(label)}" if label else "",
        )
        for label in ("", *labels)
    ]
    own = []
    for protocol, group in _own_groups(rows, models):
        name = OF_PROTOCOLS[protocol]["dice"]
        for model in models:
            of_labels = {f"dice of {label}": model.of_label(label, name) for label in labels if label in model.labels}
            cells = {**of_labels, "dice": model.mean(name, _compared_labels(model, rows))}
            own.append(_own_row(model, protocol, cells=cells, group=group))
    return Table(
        key="published_by_label",
        title=f"{_title(dataset, models)}: Dice of each label",
        first_heading="method",
        columns=[*columns, *_ORIGIN],
        rows=[*own, *_published(rows, columns)],
        notes=list(filter(None, _notes(rows, models))),
    )


def _title(dataset: str, models: Sequence[ModelFigures]) -> str:
    whose = "Published, by other hands, and measured here" if models else "Published, by other hands"
    return f"{whose}: {dataset} ({', '.join(published_protocols(dataset))})"


def _own_groups(rows: Sequence[PublishedRow], models: Sequence[ModelFigures]) -> Iterator[tuple[str, Group]]:
    for protocol in dict.fromkeys(row.setting.protocol for row in rows):
        n_cases = len(models[0].model.identifiers) if models else 0
        yield protocol, Group(title=f"Measured here ({protocol}, n = {n_cases})")


def _own_row(model: ModelFigures, protocol: str, *, cells: Mapping[str, Number], group: Group) -> Row:
    origin = {"protocol": protocol, "split": str(len(model.model.identifiers)), "source": _HERE}
    return Row(name=model.model.name, cells={**cells, **cost_cells(model.model), **origin}, group=group)


def _own_means(model: ModelFigures, protocol: str, rows: Sequence[PublishedRow]) -> dict[str, Number]:
    labels = _compared_labels(model, rows)
    return {metric: model.mean(name, labels) for metric, name in OF_PROTOCOLS[protocol].items()}


def _compared_labels(model: ModelFigures, rows: Sequence[PublishedRow]) -> list[str]:
    """Return the labels of a mean beside the papers': those that they print, where the model has all of them."""
    printed = _printed_labels(rows)
    return printed if printed and set(printed) <= set(model.labels) else model.labels


def _printed_labels(rows: Sequence[PublishedRow]) -> list[str]:
    return list(dict.fromkeys(value.column.label for row in rows for value in row.values if value.column.label))


def _published(rows: Sequence[PublishedRow], columns: Sequence[Column]) -> Iterator[Row]:
    for _, of_table in groupby(rows, key=lambda row: (row.table, row.setting)):
        printed = list(of_table)
        group = Group(title=_group_title(printed[0]), remarks=tuple(map(_sentence, _remarks(printed))))
        for row in printed:
            yield Row(
                name=row.method,
                cells=_cells(row, columns),
                is_published=True,
                group=group,
                remarks=tuple(map(_sentence, row.remarks)),
            )


def _source(row: PublishedRow) -> str:
    return f"{row.table.paper.authors} {row.table.paper.year}, {row.table.number}"


def _group_title(row: PublishedRow) -> str:
    n_test = "" if row.setting.n_test is None else f", n = {row.setting.n_test}"
    return f"Published: {_source(row)} ({row.setting.protocol}{n_test})"


def _remarks(rows: Sequence[PublishedRow]) -> Iterator[str]:
    """Yield what has to be known of all rows of a printed table."""
    paper, setting = rows[0].table.paper, rows[0].setting
    yield f"{paper.title}: {paper.citation}"
    yield setting.shown
    if setting.spread and any(value.spread for row in rows for value in row.values):
        yield f"{_source(rows[0])}: ± is over {setting.spread}"
    yield from (*setting.notes, *rows[0].table.remarks, *paper.remarks)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _cells(row: PublishedRow, columns: Sequence[Column]) -> dict[str, Number | str]:
    cells: dict[str, Number | str] = {
        "protocol": row.setting.protocol,
        "split": "" if row.setting.n_test is None else str(row.setting.n_test),
        "source": _source(row),
    }
    for column in columns:
        metric, _, label = column.key.partition(" of ")
        if (printed := row.printed("flops" if metric == GMACS.key else metric, label)) is not None:
            cells[column.key] = _number(printed, column)
    return cells


def _number(printed: PrintedValue, column: Column) -> Number:
    """Return a printed number in plain units, which is shown with the decimals that are printed."""
    unit = UNITS[printed.column.unit]
    # 89.03 % are 0.8903: two digits more behind the point.
    decimals = len(printed.text.partition(".")[2]) - round(math.log10(unit * column.scale))
    return Number(
        value=_exact(printed.value),
        spread=_exact(float(printed.spread) * unit) if printed.spread else math.nan,
        decimals=max(0, decimals),
    )


def _exact(value: float) -> float:
    """Take away what multiplying by a hundredth has added in the last binary digits."""
    return float(f"{value:.12g}")


def _notes(rows: Sequence[PublishedRow], models: Sequence[ModelFigures]) -> Iterator[str]:
    yield (
        "Published rows were measured by others, each on its own split and at its own image size, which its footnotes "
        "tell. A figure of yours is comparable only with one of the same protocol, split and image size."
    )
    if any(row.printed("flops") for row in rows):
        yield "GMACs are what the papers call FLOPs."
    yield from (_PROTOCOLS[protocol] for protocol in dict.fromkeys(row.setting.protocol for row in rows))
    if not models:
        return
    told = spread_text([model.model for model in models]) or "one fold, without ±."
    yield f"Measured here: {told[0].lower()}{told[1:]}"
    if printed := _printed_labels(rows):
        own = _compared_labels(models[0], rows)
        yield f"The papers' means are over the labels {', '.join(printed)}."
        yield f"Means measured here are over {'the same' if own == printed else ', '.join(own)}."
    has_hd95 = any(row.printed("hd95") for row in rows)
    if has_hd95 and not any(model.model.paper_distances for model in models):
        yield "HD95 was not measured here by the papers' convention."
