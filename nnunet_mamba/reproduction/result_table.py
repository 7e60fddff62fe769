"""The paper's own table, with one's own numbers beside the printed ones."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nnunet_mamba.networks.complexity import Complexity
from nnunet_mamba.published_results import Column as PrintedColumn
from nnunet_mamba.published_results import PrintedValue, PublishedRow, columns_of
from nnunet_mamba.published_results.row import FLOPS, PARAMETERS, UNITS
from nnunet_mamba.report.tables.score_figures import OF_PROTOCOLS
from nnunet_mamba.report.tables.table import Column, Group, Number, Row, Table
from nnunet_mamba.reproduction.own_scores import OwnScores
from nnunet_mamba.reproduction.planned_rows import PlannedRow

_HERE = "here"
_OWN = " own"
_HOURS = Column(key="hours", heading="hours", decimals=2)
_MODELS = Column(key="models", heading="models", decimals=0)
OWN_RECIPES = "Each network is trained by the recipe of its own paper, not by that of the table's paper."
# What people read above the rows and below the table, programs read in each row.
_FOR_PROGRAMS = tuple(Column(key=key, heading=key, for_people=False) for key in ("dataset", "protocol", "trainer"))
_UNKNOWN = Number(value=math.nan)


@dataclass(frozen=True, kw_only=True)
class ReproducedRow:
    """A row with what was found for it.

    Args:
        planned: the row, with the reason where nothing was found.
        scores: one's own; None where nothing was found.
        cost: of its network; None where there is none.
    """

    planned: PlannedRow
    scores: OwnScores | None = None
    cost: Complexity | None = None

    @property
    def row(self) -> PublishedRow:
        """As printed."""
        return self.planned.row

    def own(self, column: PrintedColumn) -> Number:
        """Return one's own number for a column, in plain units; NaN where there is none."""
        if column.metric in (PARAMETERS, FLOPS):
            if self.cost is None:
                return _UNKNOWN
            return Number(value=self.cost.n_parameters if column.metric == PARAMETERS else self.cost.multiply_adds)
        name = OF_PROTOCOLS[self.row.setting.protocol].get(column.metric)
        if self.scores is None or name is None:
            return _UNKNOWN
        figures = self.scores.figures
        if column.label:
            return figures.of_label(column.label, name) if column.label in figures.labels else _UNKNOWN
        return figures.mean(name)


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What a run found.

    Args:
        rows: of the table, in the order of print.
        differences: what is not as in the paper, in sentences.
    """

    rows: Sequence[ReproducedRow]
    differences: Sequence[str] = field(default=())

    def lacks_numbers(self, could_run: Sequence[bool]) -> bool:
        """Return whether a row has none of one's own though it could have been run.

        Args:
            could_run: of each row, before anything was done for it.
        """
        return any(could and row.scores is None for could, row in zip(could_run, self.rows, strict=True))


def result_table(found: Reproduction) -> Table:
    """Return the paper's table; each column of it is followed by one of one's own numbers.

    Args:
        found: with at least one row.
    """
    first = found.rows[0].row.table
    printed = _printed_columns([each.row for each in found.rows])
    columns = [column for each in printed.values() for column in _pair(each)]
    has_models = any(each.scores is not None for each in found.rows)
    groups = {each.row.setting: _group(each.row) for each in found.rows}
    return Table(
        key="table",
        title=f"{first.paper.title}, {first.number}: {first.topic}",
        first_heading="method",
        columns=[*columns, *((_MODELS, _HOURS) if has_models else ()), *_FOR_PROGRAMS],
        rows=[
            Row(
                name=each.row.method,
                cells=_cells(each, printed),
                group=groups[each.row.setting],
                remarks=tuple(filter(None, (*each.row.remarks, each.planned.reason))),
            )
            for each in found.rows
        ],
        notes=[f"Printed: {first.paper.citation}.", *_spread_notes(found)],
    )


def _printed_columns(rows: Sequence[PublishedRow]) -> dict[str, PrintedColumn]:
    """Return the columns of all data sets by the keys of our table: data sets share those of one metric and label."""
    return {_key(column): column for column in columns_of(rows)}


def _key(column: PrintedColumn) -> str:
    return f"{column.metric} of {column.label}" if column.label else column.metric


def _pair(column: PrintedColumn) -> tuple[Column, Column]:
    key, scale = _key(column), 1 / UNITS[column.unit]
    return (
        Column(key=key, heading=column.heading, decimals=2, scale=scale, csv_name=f"printed_{key}".replace(" ", "_")),
        Column(
            key=f"{key}{_OWN}",
            heading=f"{column.heading} {_HERE}",
            decimals=2,
            scale=scale,
            csv_name=key.replace(" ", "_"),
        ),
    )


def _group(row: PublishedRow) -> Group:
    return Group(title=row.setting.shown, remarks=(*row.setting.notes, *row.table.remarks))


def _cells(each: ReproducedRow, printed: Mapping[str, PrintedColumn]) -> dict[str, Number | str]:
    setting = each.row.setting
    cells: dict[str, Number | str] = {
        **{"dataset": setting.dataset, "protocol": setting.protocol, "trainer": each.planned.trainer}
    }
    for key, column in printed.items():
        value = each.row.printed(column.metric, column.label)
        decimals = 2 if value is None else len(value.text.partition(".")[2])
        if value is not None:
            cells[key] = _printed_number(value, decimals)
        own = each.own(column)
        cells[f"{key}{_OWN}"] = Number(value=own.value, spread=own.spread, decimals=decimals)
    if each.scores is not None:
        cells |= {
            "hours": Number(value=each.scores.hours),
            "models": Number(value=each.scores.n_models),
        }
    return cells


def _printed_number(value: PrintedValue, decimals: int) -> Number:
    spread = float(value.spread) * UNITS[value.column.unit] if value.spread else math.nan
    return Number(value=_exact(value.value), spread=_exact(spread), decimals=decimals)


def _exact(value: float) -> float:
    """Take away what multiplying by a hundredth has added in the last binary digits."""
    return float(f"{value:.12g}")


def _spread_notes(found: Reproduction) -> Iterator[str]:
    spreads: dict[str, dict[str, None]] = {}
    for each in found.rows:
        setting = each.row.setting
        if setting.spread and any(value.spread for value in each.row.values):
            spreads.setdefault(setting.spread, {})[setting.dataset] = None
    for spread, datasets in spreads.items():
        yield f"Printed ± of {' and '.join(datasets)} is over {spread}."
    if any(each.scores is not None and each.scores.n_models > 1 for each in found.rows):
        yield "± here is the sample standard deviation over the models: one for each seed and data set trained on."
