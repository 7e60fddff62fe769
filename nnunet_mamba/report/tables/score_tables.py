"""The tables of scores: per case with what a network costs, pooled over pixels, and by label."""

import math
from collections.abc import Sequence

from nnunet_mamba.comparison.metrics import METRICS
from nnunet_mamba.evaluation.measured_distances import EMPTY_RULE, MeasuredDistances
from nnunet_mamba.report.contents.reported_model import ReportedModel
from nnunet_mamba.report.tables.score_figures import model_figures, spread_text
from nnunet_mamba.report.tables.table import Column, Number, Row, Table

_HIGHER, _LOWER = "higher", "lower"
# The columns of networks, shared with published rows.
PARAMETERS = Column(key="parameters", heading="parameters", unit="M", decimals=3, scale=1e-6)
GMACS = Column(key="multiply_adds", heading="GMACs", decimals=3, scale=1e-9)
_COSTS = (
    PARAMETERS,
    GMACS,
    Column(key="flops", heading="GFLOPs", decimals=3, scale=1e-9),
    Column(key="latency_ms", heading="latency", unit="ms", decimals=1),
)


def per_case_table(models: Sequence[ReportedModel]) -> Table:
    """Return the scores of nnU-Net's kind, and what the networks cost."""
    distances = models[0].repeats[0].distances
    columns = [
        Column(key="dice", heading="Dice", decimals=3, better=_HIGHER),
        Column(key="iou", heading="IoU", decimals=3, better=_HIGHER),
    ]
    if distances is not None:
        columns.append(Column(key="hd95", heading="HD95", unit=distances.unit, decimals=2, better=_LOWER))
        if distances.tolerance is not None:
            columns.append(Column(key="nsd", heading="NSD", decimals=3, better=_HIGHER))
    columns += [column for column in _COSTS if any(_has(model, column.key) for model in models)]
    return Table(
        key="scores_per_case",
        title="Mean over cases (nnU-Net's protocol), and what one image costs",
        first_heading="trainer",
        columns=columns,
        rows=[_row(model, columns) for model in models],
        notes=list(filter(None, (*_notes(models, distances), *_notes_of_costs(models)))),
    )


def pooled_table(models: Sequence[ReportedModel]) -> Table:
    """Return the scores of the skin papers' kind."""
    columns = [
        Column(key=f"pooled_{key}", heading=heading, decimals=4, better=_HIGHER)
        for key, heading in (
            ("dsc", "DSC"),
            ("iou", "IoU"),
            ("sensitivity", "SE"),
            ("specificity", "SP"),
            ("accuracy", "ACC"),
        )
    ]
    return Table(
        key="scores_pooled",
        title="All pixels in one confusion matrix (the skin papers' protocol)",
        first_heading="trainer",
        columns=columns,
        rows=[_row(model, columns) for model in models],
        notes=list(
            filter(
                None, (spread_text(models), "Large lesions count for more here: never compare with means over cases.")
            )
        ),
    )


def label_table(models: Sequence[ReportedModel], key: str) -> Table:
    """Return one figure of each label or region, mean over cases.

    Args:
        models: with several labels.
        key: "dice" or "hd95".
    """
    metric, distances = METRICS[key], models[0].repeats[0].distances
    columns = [
        Column(
            key=label,
            heading=label,
            decimals=3 if metric.is_ratio else 2,
            better=_HIGHER if metric.higher_is_better else _LOWER,
        )
        for label in models[0].repeats[0].label_names
    ]
    unit = "" if metric.is_ratio or distances is None else f" in {distances.unit}"
    rows = []
    for model in models:
        figures = model_figures(model).of_labels
        rows.append(Row(name=model.name, cells={label: figures[label][key] for label in figures}))
    return Table(
        key=f"{key}_by_label",
        title=f"{metric.title}{unit} of each label, mean over cases",
        first_heading="trainer",
        columns=columns,
        rows=rows,
        notes=list(filter(None, (spread_text(models),))),
    )


def _row(model: ReportedModel, columns: Sequence[Column]) -> Row:
    figures = model_figures(model).of_mean
    cells = {column.key: figures[column.key] for column in columns if column.key in figures}
    costs = {column.key: Number(value=_cost(model, column.key)) for column in columns if column.key not in figures}
    return Row(name=model.name, cells={**cells, **costs})


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
