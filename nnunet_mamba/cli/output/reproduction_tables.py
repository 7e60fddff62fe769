"""The tables of ``nnunet-mamba reproduce`` on standard output: what there is, what would run, and what was found."""

import math
from itertools import groupby
from typing import TYPE_CHECKING

from nnunet_mamba.cli.options.option_names import with_option_names
from nnunet_mamba.cli.output.console import results_console
from nnunet_mamba.system.durations import rough_duration

if TYPE_CHECKING:
    from nnunet_mamba.reproduction.estimate import Expectation
    from nnunet_mamba.reproduction.result_table import Reproduction


def print_experiments() -> None:
    """Print every table with its data sets, seeds and topic."""
    from rich.table import Table

    from nnunet_mamba.reproduction.experiments import EXPERIMENTS
    from nnunet_mamba.reproduction.planned_rows import rows_of

    table = Table(show_edge=False)
    for heading in ("table", "data", "seeds", "rows", "what it compares"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("seeds", "rows") else "left")
    for experiment in EXPERIMENTS.values():
        rows = rows_of(experiment)
        cells = (experiment.name, ", ".join(experiment.data), str(experiment.repeats), str(len(rows)))
        table.add_row(*cells, rows[0].table.topic)
    results_console().print(table)


def print_expectation(expected: "Expectation") -> None:
    """Print the trainings that would run with their hours, and the rows that cannot be run."""
    from rich.table import Table

    table = Table(show_edge=False)
    for heading in ("trainer", "data set", "seeds", "done", "hours"):
        table.add_column(heading, overflow="fold", justify="left" if heading in ("trainer", "data set") else "right")
    for each in expected.trainings:
        hours = each.reason if math.isnan(each.hours) else f"{each.hours:.2f}"
        counts = (str(each.n_seeds), str(each.n_trained))
        table.add_row(each.training.trainer, each.training.data.folder_name, *counts, with_option_names(hours) or "–")
    console = results_console()
    if expected.trainings:
        console.print(table)
    if expected.trainings and not math.isnan(expected.hours):
        told = rough_duration(3600 * expected.hours)
        console.print(
            f"About {told} of training steps, one after the other; loading, validation and tests not counted."
        )
    for row in expected.rows:
        if row.reason:
            text = f"{row.row.method} ({row.row.setting.dataset}) cannot be run: {with_option_names(row.reason)}"
            console.print(text, markup=False, soft_wrap=True)


def print_reproduction(found: "Reproduction") -> None:
    """Print the paper's table with one's own numbers, then what is not as in the paper."""
    from rich.table import Table

    from nnunet_mamba.reproduction.result_table import OWN_RECIPES, result_table

    made = result_table(found)
    console = results_console()
    console.print(made.title, markup=False)
    console.print(OWN_RECIPES, markup=False, soft_wrap=True)
    for group, rows in groupby(made.rows, key=lambda row: row.group):
        own = list(rows)
        columns = [column for column in made.shown_columns if any(made.number(row, column) for row in own)]
        table = Table(title=group.title if group else None, title_justify="left", show_edge=False)
        table.add_column(made.first_heading, overflow="fold")
        for column in columns:
            table.add_column(column.heading, justify="right", no_wrap=True)
        for row in own:
            table.add_row(row.name, *(made.shown(row, column) for column in columns))
        console.print(table)
    for text in made.notes:
        console.print(text, markup=False, soft_wrap=True)
    console.print("Not as in the paper:", markup=False)
    for text in found.differences:
        console.print(f"- {with_option_names(text)}", markup=False, soft_wrap=True)
    for each in found.rows:
        if each.planned.reason:
            text = (
                f"{each.row.method} ({each.row.setting.dataset}) was not run: {with_option_names(each.planned.reason)}"
            )
            console.print(text, markup=False, soft_wrap=True)
