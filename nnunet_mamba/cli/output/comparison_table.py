"""The table of a comparison on standard output, its sentences below, and the notes beside it on standard error."""

import math
from typing import TYPE_CHECKING

from nnunet_mamba.cli.options.option_names import with_option_names
from nnunet_mamba.cli.output.console import progress_console, results_console

if TYPE_CHECKING:
    from rich.table import Table

    from nnunet_mamba.comparison.comparing import ComparedLabel, Comparison


def print_comparison(comparison: "Comparison") -> None:
    """Print every pair of models on every label, a sentence for each pair, and what has to be known beside them."""
    from nnunet_mamba.comparison.sentences import notes, sentences

    console = results_console()
    for main in comparison.main_rows:
        console.print(_table(comparison, main.first, main.second))
    resampling = comparison.options.resampling
    console.print(
        f"Interval: {resampling.n_resamples} bootstrap resamples of {comparison.groups.noun}, seed {resampling.seed}. "
        f"p: Wilcoxon, Holm's correction for {comparison.n_tests}. Effect sizes: Cohen's d_z, rank-biserial r.",
        markup=False,
        soft_wrap=True,
    )
    for text in sentences(comparison):
        console.print(text, markup=False, soft_wrap=True)
    for text in notes(comparison):
        progress_console().print(f"Note: {with_option_names(text)}", markup=False, soft_wrap=True)


def _table(comparison: "Comparison", first: str, second: str) -> "Table":
    """Return the table of one pair of models."""
    from rich.markup import escape
    from rich.table import Table

    options, noun = comparison.options, comparison.groups.noun
    metric = options.metric
    unit = "" if metric.is_ratio else f" in {comparison.unit}"
    direction = "higher" if metric.higher_is_better else "lower"
    table = Table(
        title=f"{escape(first)} − {escape(second)}\n{metric.title}{unit}, paired by case; {direction} is better"
    )
    table.add_column("label", overflow="fold")
    equal = "ties" if not options.tie else f"ties (≤ {options.tie:g})"
    headings = ["cases"] if noun == "cases" else ["cases", noun]
    headings += ["means", "difference", f"{options.resampling.confidence:.0%} interval", "p", "p (Holm)", "d_z", "r"]
    for heading in [*headings, f"wins / {equal} / losses"]:
        table.add_column(heading, justify="right", overflow="fold")
    for row in comparison.rows:
        if (row.first, row.second) == (first, second):
            counts = [row.values.n_cases] if noun == "cases" else [row.values.n_cases, row.values.n_groups]
            table.add_row(escape(row.label), *map(str, counts), *_figures(row, 4 if metric.is_ratio else 2))
    return table


def _figures(row: "ComparedLabel", digits: int) -> list[str]:
    values = row.values
    low, high = (_signed(bound, digits) for bound in (values.low, values.high))
    return [
        f"{_plain(values.mean_first, digits)}\n{_plain(values.mean_second, digits)}",
        _signed(values.difference, digits),
        "n/a" if math.isnan(values.low) else f"{low} to {high}",
        _p(values.p_value),
        _p(row.p_holm),
        _signed(values.cohens_dz, 2),
        _signed(values.rank_biserial, 2),
        " / ".join(map(str, row.outcomes)),
    ]


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else _plain(value, 4)


def _plain(value: float, digits: int) -> str:
    return "n/a" if math.isnan(value) else f"{value:.{digits}f}"


def _signed(value: float, digits: int) -> str:
    return "n/a" if math.isnan(value) else f"{value:+.{digits}f}"
