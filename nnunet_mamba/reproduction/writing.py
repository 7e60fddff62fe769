"""Write what a run found: the table in three forms, and a page with figures for each data set."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from nnunet_mamba import __version__
from nnunet_mamba.networks.complexity import Complexity
from nnunet_mamba.report.contents.dataset_report import report_of
from nnunet_mamba.report.contents.gathering import Gathered
from nnunet_mamba.report.contents.reported_model import NetworkCost
from nnunet_mamba.report.tables.as_csv import as_csv
from nnunet_mamba.report.tables.as_markdown import as_markdown
from nnunet_mamba.report.writing import write_dataset_report
from nnunet_mamba.reproduction.experiment import PreparedData
from nnunet_mamba.reproduction.planned_rows import PlannedRow
from nnunet_mamba.reproduction.request import ReproductionRequest
from nnunet_mamba.reproduction.result_table import OWN_RECIPES, ReproducedRow, Reproduction, result_table
from nnunet_mamba.system.atomic import replacing
from nnunet_mamba.system.json_files import read_json_object
from nnunet_mamba.trainer_name import TrainerName

TABLE = "table"


def write_reproduction(
    found: Reproduction, request: ReproductionRequest, *, in_words: Callable[[str], str]
) -> list[Path]:
    """Write table.md, table.csv and table.json.

    Args:
        found: by the run.
        request: of the run.
        in_words: puts the library's settings into the reader's words.

    Returns:
        The files.

    Raises:
        OSError: they cannot be written; earlier ones are untouched.
    """
    table = result_table(found)
    request.output.mkdir(parents=True, exist_ok=True)
    differences = "\n".join(f"- {in_words(text)}" for text in found.differences)
    lost = [each for each in found.rows if each.planned.reason]
    left_out = "\n".join(
        f"- {each.row.method} ({each.row.setting.dataset}): {in_words(each.planned.reason)}" for each in lost
    )
    texts = {
        "md": f"{OWN_RECIPES}\n\n{in_words(as_markdown(table))}\n### What is not as in the paper\n\n{differences}\n"
        + (f"\n### Rows that were not run\n\n{left_out}\n" if lost else ""),
        "csv": as_csv(table),
        "json": json.dumps(reproduction_as_dict(found, request), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    }
    files = []
    for ending, text in texts.items():
        file = request.output / f"{TABLE}.{ending}"
        with replacing(file) as part:
            part.write_text(text, encoding="utf-8")
        files.append(file)
    return files


def refuse_other_run(request: ReproductionRequest, rows: Iterable[PlannedRow]) -> None:
    """Raise if the output folder holds a table that this run would replace by another one. Rows may be added.

    Args:
        request: of the run.
        rows: of its table.

    Raises:
        ValueError: the table there has another budget, other seeds or rows with numbers that this run has not; or it
            is damaged.
    """
    file = request.output / f"{TABLE}.json"
    if not file.is_file():
        return
    stored = read_json_object(file)
    others = [
        f"{name} {_told(stored.get(name))}, and this run {_told(value)}"
        for name, value in _identity(request).items()
        if stored.get(name) != value
    ]
    here = {(row.row.method, row.row.setting.dataset) for row in rows}
    scored = [row for row in stored.get("rows", []) if row.get("n_models")]
    lost = [f"{row['method']} ({row['dataset']})" for row in scored if (row["method"], row["dataset"]) not in here]
    if lost and not others:
        others = [f"numbers of {', '.join(lost)}, and this run leaves them out: add them to `rows`"]
    if others:
        raise ValueError(f"{file} has {'; '.join(others)}; choose another `output`, or move it away")


def _identity(request: ReproductionRequest) -> dict[str, Any]:
    """Return what two runs have in common if the one may continue the other's table."""
    return {
        "experiment": request.experiment.name,
        "budget": None if request.budget is None else str(request.budget),
        "seeds": list(range(1, request.repeats + 1)),
    }


def _told(value: Any) -> str:
    if value is None:
        return "the paper's"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def reproduction_as_dict(found: Reproduction, request: ReproductionRequest) -> dict[str, Any]:
    """Return all that was found as plain values for JSON, None for what is not known."""
    table = found.rows[0].row.table
    return {
        "nnunet_mamba": __version__,
        **_identity(request),
        "paper": table.paper.name,
        "table": table.number,
        "source": table.paper.citation,
        "recipe": request.experiment.recipe,
        "rows": [_row_as_dict(each) for each in found.rows],
        "differences": list(found.differences),
    }


def _row_as_dict(each: ReproducedRow) -> dict[str, Any]:
    planned, scores = each.planned, each.scores
    numbers = []
    for value in each.row.values:
        own = each.own(value.column)
        numbers.append(
            {
                "metric": value.column.metric,
                "label": value.column.label or None,
                "printed": value.shown,
                "printed_value": float(f"{value.value:.12g}"),
                "own": _plain(own.value),
                "own_deviation": _plain(own.spread),
            }
        )
    return {
        "method": each.row.method,
        "dataset": each.row.setting.dataset,
        "protocol": each.row.setting.protocol,
        "trainer": planned.trainer or None,
        "trained_on": [training.data.folder_name for training in planned.trainings],
        "n_models": 0 if scores is None else scores.n_models,
        "hours": None if scores is None else _plain(scores.hours),
        "numbers": numbers,
        "reason": planned.reason or None,
    }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def write_reports(
    gathered: Mapping[PreparedData, Gathered],
    rows: Reproduction,
    request: ReproductionRequest,
    *,
    in_words: Callable[[str], str],
) -> list[Path]:
    """Write the page of each data set, with the scatter, the curves, the panels and its other figures beside it.

    Args:
        gathered: trainings of each data set.
        rows: with what the networks cost.
        request: of the run.
        in_words: puts the library's settings into the reader's words.

    Returns:
        The pages.

    Raises:
        ValueError: models were not scored on the same cases.
        OSError: a file cannot be read or written.
    """
    costs = {each.planned.trainer: each for each in rows.rows if each.planned.trainer}
    pages = []
    for data, found in gathered.items():
        own = {
            model.name: _cost(each.cost)
            for model in found.models
            if (each := costs.get(str(TrainerName.parse(model.name).with_seed(None)))) is not None
            and each.cost is not None
        }
        made = report_of(found, costs=own, papers=data.dataset, in_words=in_words)
        pages.append(write_dataset_report(made, request.output / f"{data.folder_name}.html")[0])
    return pages


def _cost(cost: Complexity) -> NetworkCost:
    return NetworkCost(
        n_parameters=cost.n_parameters,
        multiply_adds=cost.multiply_adds,
        flops=cost.flops,
        latency_ms=None,
        image_shape=(3, 256, 256),
    )
