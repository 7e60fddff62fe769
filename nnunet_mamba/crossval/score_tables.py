"""Tables of a cross-validation's scores: over the folds of every trainer, and over the seeds of one."""

import math
from collections.abc import Sequence

from rich.table import Table

from nnunet_mamba.crossval.outcome import Score


def fold_table(scores: Sequence[Score], folds: Sequence[int]) -> Table:
    """Return the Dice of every fold and trainer, their mean and standard deviation over the folds.

    Args:
        scores: by fold.
        folds: to show.
    """
    return _table("Dice of the final validations", scores, [("fold", fold) for fold in folds])


def seed_table(scores: Sequence[Score]) -> Table:
    """Return the mean Dice of every seed and trainer, their mean and standard deviation over the seeds.

    Args:
        scores: by seed.
    """
    seeds = sorted({seed for score in scores for seed in score.dice})
    return _table("Dice over seeds, of each the mean over its folds", scores, [("seed", seed) for seed in seeds])


def _table(title: str, scores: Sequence[Score], columns: Sequence[tuple[str, int]]) -> Table:
    """Return a row for every score, with a column for each of its folds or seeds."""
    table = Table(title=title, title_justify="left", show_edge=False)
    table.add_column("trainer", overflow="fold")
    for noun, number in columns:
        table.add_column(f"{noun} {number}", justify="right")
    table.add_column(f"mean ± SD over {columns[0][0]}s", justify="right", no_wrap=True)
    for score in scores:
        dice = [_number(score.dice.get(number, math.nan)) for _, number in columns]
        deviation = "" if math.isnan(score.deviation) else f" ± {score.deviation:.3f}"
        table.add_row(score.model, *dice, f"{_number(score.mean)}{deviation}")
    return table


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
