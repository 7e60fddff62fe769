"""The table of a comparison on standard output, its sentences below, and the notes beside it on standard error."""

import math
from typing import TYPE_CHECKING

from nnunet_mamba.cli.output.console import progress_console, results_console

if TYPE_CHECKING:
    from nnunet_mamba.comparison.comparing import ComparedLabel, Comparison


def print_comparison(comparison: "Comparison") -> None:
    """Print every pair of models on every label, a sentence for each pair, and what has to be known beside them."""
    from rich.markup import escape
    from rich.table import Table

    from nnunet_mamba.comparison.sentences import notes, sentences

    options, noun = comparison.options, comparison.groups.noun
    metric, resampling = options.metric, options.resampling
    digits = 4 if metric.is_ratio else 2
    unit = "" if metric.is_ratio else f" in {comparison.unit}"
    table = Table(
        title=f"{metric.title}{unit}, paired by case; {'higher' if metric.higher_is_better else 'lower'} is better",
        caption=(
            f"interval: {resampling.n_resamples} bootstrap resamples of {noun}, seed {resampling.seed}; p: Wilcoxon; "
            "effect: Cohen's d_z, rank-biserial r"
        ),
    )
    for heading in ("models", "label"):
        table.add_column(heading, overflow="fold")
    equal = "ties" if not options.tie else f"ties (≤ {options.tie:g})"
    headings = ["cases"] if noun == "cases" else ["cases", noun]
    headings += ["means", "difference", f"{resampling.confidence:.0%} interval", "p", "p (Holm)", "d_z", "r"]
    for heading in [*headings, f"wins / {equal} / losses"]:
        table.add_column(heading, justify="right", overflow="fold")
    for row in comparison.rows:
        counts = [row.values.n_cases] if noun == "cases" else [row.values.n_cases, row.values.n_groups]
        names = f"{escape(row.first)}\n− {escape(row.second)}"
        table.add_row(names, escape(row.label), *map(str, counts), *_figures(row, digits))
    console = results_console()
    console.print(table)
    for text in sentences(comparison):
        console.print(text, markup=False, soft_wrap=True)
    for text in notes(comparison):
        progress_console().print(f"Note: {text}", markup=False, soft_wrap=True)


def _figures(row: "ComparedLabel", digits: int) -> list[str]:
    values = row.values
    low, high = (_signed(bound, digits) for bound in (values.low, values.high))
    return [
        f"{_plain(values.mean_first, digits)}\n{_plain(values.mean_second, digits)}",
        _signed(values.difference, digits),
        "n/a" if math.isnan(values.low) else f"{low} to {high}",
        _plain(values.p_value, 4),
        _plain(row.p_holm, 4),
        _signed(values.cohens_dz, 2),
        _signed(values.rank_biserial, 2),
        " / ".join(map(str, row.outcomes)),
    ]


def _plain(value: float, digits: int) -> str:
    return "n/a" if math.isnan(value) else f"{value:.{digits}f}"


def _signed(value: float, digits: int) -> str:
    return "n/a" if math.isnan(value) else f"{value:+.{digits}f}"
