"""The tables of scores: per case with what a network costs, pooled over pixels, and by label."""

import math
import re
from collections.abc import Sequence

from nnunet_mamba.comparison.metrics import METRICS
from nnunet_mamba.evaluation.measured_distances import EMPTY_RULE, MeasuredDistances
from nnunet_mamba.evaluation.paper_protocols import MEAN_OF_LABELS
from nnunet_mamba.report.contents.reported_model import ReportedModel
from nnunet_mamba.report.tables.score_figures import ModelFigures, spread_text
from nnunet_mamba.report.tables.table import Column, Number, Row, Table

HIGHER, LOWER = "higher", "lower"
# The columns of networks, shared with published rows.
PARAMETERS = Column(key="parameters", heading="parameters", unit="M", decimals=3, scale=1e-6)
GMACS = Column(key="multiply_adds", heading="GMACs", decimals=3, scale=1e-9)
_COSTS = (
    PARAMETERS,
    GMACS,
    Column(key="flops", heading="GFLOPs", decimals=3, scale=1e-9),
    Column(key="latency_ms", heading="latency", unit="ms", decimals=1),
)


def per_case_table(models: Sequence[ModelFigures]) -> Table:
    """Return the scores of nnU-Net's kind, and what the networks cost.

    Args:
        models: at least one, all scored for the same labels and with distances in one unit.
    """
    reported = [model.model for model in models]
    distances = reported[0].repeats[0].distances
    columns = [
        Column(key="dice", heading="Dice", decimals=3, better=HIGHER),
        Column(key="iou", heading="IoU", decimals=3, better=HIGHER),
    ]
    if distances is not None:
        columns.append(_length_column("hd95", "HD95", distances.unit))
        if distances.tolerance is not None:
            columns.append(Column(key="nsd", heading="NSD", decimals=3, better=HIGHER))
    costs = [column for column in _COSTS if any(_has(model, column.key) for model in reported)]
    return Table(
        key="scores_per_case",
        title="Mean over cases (nnU-Net's protocol), and what one image costs",
        first_heading="trainer",
        columns=[*columns, *costs],
        rows=[_row(model, columns) for model in models],
        notes=list(filter(None, (*_notes(reported, distances), *_notes_of_costs(reported)))),
    )


def pooled_table(models: Sequence[ModelFigures]) -> Table:
    """Return the scores of the skin papers' kind.

    Args:
        models: at least one, all scored for the same labels.
    """
    columns = [
        Column(key=f"pooled_{key}", heading=heading, decimals=4, better=HIGHER)
        for key, heading in (
            ("dsc", "DSC"),
            ("iou", "IoU"),
            ("sensitivity", "SE"),
            ("specificity", "SP"),
            ("accuracy", "ACC"),
        )
    ]
    notes = (
        spread_text([model.model for model in models]),
        "Large lesions count for more here: never compare with means over cases.",
    )
    return Table(
        key="scores_pooled",
        title="All pixels in one confusion matrix (the skin papers' protocol)",
        first_heading="trainer",
        columns=columns,
        rows=[_row(model, columns) for model in models],
        notes=list(filter(None, notes)),
    )


def label_table(models: Sequence[ModelFigures], key: str) -> Table:
    """Return one figure of each label or region, mean over cases, and the mean of them.

    Args:
        models: at least one, all scored for the same labels.
        key: "dice" or "hd95".
    """
    metric, distances = METRICS[key], models[0].model.repeats[0].distances
    unit = "" if metric.is_ratio or distances is None else distances.unit
    columns = [
        Column(
            key=label,
            heading="mean" if label == MEAN_OF_LABELS else label,
            decimals=3 if metric.is_ratio else 2,
            better=HIGHER if metric.higher_is_better else LOWER,
            csv_name="_".join(filter(None, (key, unit, csv_label(label)))),
        )
        for label in (MEAN_OF_LABELS, *models[0].labels)
    ]
    rows = []
    for model in models:
        cells = {label: model.of_label(label, key) for label in model.labels}
        rows.append(Row(name=model.model.name, cells={**cells, MEAN_OF_LABELS: model.mean(key)}))
    return Table(
        key=f"{key}_by_label",
        title=f"{metric.title}{f' in {unit}' if unit else ''} of each label, mean over cases",
        first_heading="trainer",
        columns=columns,
        rows=rows,
        notes=list(filter(None, (spread_text([model.model for model in models]),))),
    )


def csv_label(label: str) -> str:
    """Return a label's name as a program writes it: "right_kidney" for "right kidney"."""
    return re.sub(r"\W+", "_", label)


def cost_cells(model: ReportedModel) -> dict[str, Number]:
    """Return what the network of a model costs, by the keys of columns."""
    return {column.key: Number(value=_cost(model, column.key)) for column in _COSTS}


def _length_column(key: str, heading: str, unit: str) -> Column:
    return Column(key=key, heading=heading, unit=unit, decimals=2, better=LOWER, csv_name=f"{key}_{unit}")


def _row(model: ModelFigures, columns: Sequence[Column]) -> Row:
    figures = {column.key: model.mean(column.key) for column in columns}
    return Row(name=model.model.name, cells={**figures, **cost_cells(model.model)})


def _cost(model: ReportedModel, key: str) -> float:
    if model.cost is None:
        return math.nan
    found = {
        "parameters": model.cost.n_parameters,
        "multiply_adds": model.cost.multiply_adds,
        "flops": model.cost.flops,
        "latency_ms": model.cost.latency_ms,
    }[key]
    return math.nan if found is None else float(found)


def _has(model: ReportedModel, key: str) -> bool:
    return not math.isnan(_cost(model, key))


def _notes(models: Sequence[ReportedModel], distances: MeasuredDistances | None) -> list[str]:
    labels = models[0].repeats[0].label_names
    return [
        spread_text(models),
        f"Means over the labels {', '.join(labels)}." if len(labels) > 1 else "",
        "" if distances is None else f"Distances: {distances.convention_text}.",
        EMPTY_RULE,
    ]


def _notes_of_costs(models: Sequence[ReportedModel]) -> list[str]:
    costs = [model.cost for model in models if model.cost is not None]
    if not costs:
        return []
    shapes = dict.fromkeys("×".join(map(str, cost.image_shape)) for cost in costs)
    timed = next((cost.device for cost in costs if cost.latency_ms is not None), "")
    told = (
        f"Costs of one image of {' or '.join(shapes)} (channels first). GMACs as the papers count them, without scans; "
        "GFLOPs of all operations, two per multiply-add."
    )
    return [told, f"Latency: median of single images on {timed}." if timed else ""]
