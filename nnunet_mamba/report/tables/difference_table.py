"""The paired differences of all models, pair by pair."""

import math

from nnunet_mamba.comparison.comparing import ComparedLabel, Comparison
from nnunet_mamba.report.tables.table import Column, Number, Row, Table


def difference_table(comparison: Comparison) -> Table:
    """Return a row for each pair of models and each label, the mean over several last."""
    metric, options = comparison.options.metric, comparison.options
    digits = 4 if metric.is_ratio else 2
    unit = "" if metric.is_ratio else f" in {comparison.unit}"
    noun = comparison.groups.noun
    resampling = options.resampling
    return Table(
        key="differences",
        title=f"Paired differences of {metric.title}{unit}, case by case",
        first_heading="first less second",
        columns=[
            *([Column(key="label", heading="label")] if len(comparison.rows) > len(comparison.main_rows) else []),
            Column(key="difference", heading="difference", decimals=digits),
            Column(key="interval", heading=f"{resampling.confidence:.0%} interval".replace("%", " %")),
            Column(key="p_holm", heading="p (Holm)"),
            Column(key="cohens_dz", heading="d_z", decimals=2),
            Column(key="outcomes", heading="wins / ties / losses"),
            Column(key="n", heading=noun, decimals=0),
        ],
        rows=[_row(row, digits) for row in comparison.rows],
        notes=[
            f"Interval: {resampling.n_resamples} bootstrap resamples of {noun}, seed {resampling.seed}. p: Wilcoxon's "
            f"signed-rank test with Holm's correction for {len(comparison.rows)}. d_z: Cohen's effect size of pairs."
        ],
    )


def _row(row: ComparedLabel, digits: int) -> Row:
    values = row.values
    interval = "" if math.isnan(values.low) else f"{values.low:+.{digits}f} to {values.high:+.{digits}f}"
    p = "" if math.isnan(row.p_holm) else "<0.0001" if row.p_holm < 0.0001 else f"{row.p_holm:.4f}"
    return Row(
        name=f"{row.first} − {row.second}",
        cells={
            "label": row.label,
            "difference": Number(value=values.difference),
            "interval": interval,
            "p_holm": p,
            "cohens_dz": Number(value=values.cohens_dz),
            "outcomes": " / ".join(map(str, row.outcomes)),
            "n": Number(value=float(values.n_groups)),
        },
    )
