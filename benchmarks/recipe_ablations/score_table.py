"""The scores of an ablation, as comma-separated rows of means and spreads over the seeds."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from stock_runs.scores import PER_CASE, POOLED

from recipe_ablations.runs import MIRRORED, UNMIRRORED

Scores = Mapping[str, Mapping[str, float]]
_COLUMNS = [(way, protocol) for way in (MIRRORED, UNMIRRORED) for protocol in (PER_CASE, POOLED)]


def table_lines(runs: Mapping[str, Sequence[Scores]]) -> Iterator[str]:
    """Yield the table: a row per variant, in percent of Dice, the mean and the standard deviation over its seeds.

    Args:
        runs: scores of the finished runs of each variant; one without any has no row.
    """
    names = [f"{way}_{protocol}" for way, protocol in _COLUMNS]
    yield "validation Dice in percent, mean and standard deviation over the seeds"
    yield ",".join(["variant,seeds", *(f"{name},sd" for name in names)])
    for variant, scores in runs.items():
        if scores:
            cells = [_mean_and_sd([100 * one[way][protocol] for one in scores]) for way, protocol in _COLUMNS]
            yield ",".join([variant, str(len(scores)), *cells])


def _mean_and_sd(values: Sequence[float]) -> str:
    spread = f"{statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f},{spread}"
