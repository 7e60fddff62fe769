"""The paired differences of all models, pair by pair."""

import math

from nnunet_mamba.comparison.comparing import ComparedLabel, Comparison
from nnunet_mamba.report.tables.table import Column, Group, Number, Row, Table

_OUTCOMES = ("wins", "ties", "losses")


def difference_table(comparison: Comparison) -> Table:
    """Return a row for each pair of models, or where there are several labels, a group of rows with one for each."""
    metric, options = comparison.options.metric, comparison.options
    digits = 4 if metric.is_ratio else 2
    unit = "" if metric.is_ratio else f" in {comparison.unit}"
    noun = comparison.groups.noun
    resampling = options.resampling
    has_labels = len(comparison.rows) > len(comparison.main_rows)
    return Table(
        key="differences",
        title=f"Paired differences of {metric.title}{unit}, case by case",
        first_heading="label" if has_labels else "first less second",
        columns=[
            # People read both names and the counts in one place each; programs have them apart.
            *(Column(key=key, heading=key, for_people=False) for key in ("first", "second", "label")),
            Column(key="difference", heading="difference", decimals=digits),
            *(_for_programs(f"difference_{bound}") for bound in ("low", "high")),
            Column(
                key="interval",
                heading=f"{resampling.confidence:.0%} interval".replace("%", " %"),
                for_programs=False,
            ),
            *(_for_programs(key) for key in ("p", "p_holm")),
            Column(key="p_shown", heading="p (Holm)", for_programs=False),
            Column(key="cohens_dz", heading="d_z", decimals=2),
            _for_programs("rank_biserial"),
            *(_for_programs(key) for key in _OUTCOMES),
            Column(key="outcomes", heading=" / ".join(_OUTCOMES), for_programs=False),
            Column(key="n", heading=noun, decimals=0, csv_name=f"n_{noun}"),
        ],
        rows=[_row(row, digits, has_labels=has_labels) for row in comparison.rows],
        notes=[
            f"Interval: {resampling.n_resamples} bootstrap resamples of {noun}, seed {resampling.seed}. p: Wilcoxon's "
            f"signed-rank test with Holm's correction for {comparison.n_tests}. d_z: Cohen's effect size of pairs."
        ],
    )


def _for_programs(key: str) -> Column:
    return Column(key=key, heading=key, decimals=4, for_people=False)


def _row(row: ComparedLabel, digits: int, *, has_labels: bool) -> Row:
    values, pair = row.values, f"{row.first} − {row.second}"
    interval = f"{values.low:+.{digits}f} to {values.high:+.{digits}f}".replace("-", "−")
    p = "" if math.isnan(row.p_holm) else "<0.0001" if row.p_holm < 0.0001 else f"{row.p_holm:.4f}"
    return Row(
        name=row.label if has_labels else pair,
        group=Group(title=pair) if has_labels else None,
        cells={
            **{"first": row.first, "second": row.second, "label": row.label},
            "difference": Number(value=values.difference),
            "difference_low": Number(value=values.low),
            "difference_high": Number(value=values.high),
            "interval": "" if math.isnan(values.low) else interval,
            "p": Number(value=values.p_value),
            "p_holm": Number(value=row.p_holm),
            "p_shown": p,
            "cohens_dz": Number(value=values.cohens_dz),
            "rank_biserial": Number(value=values.rank_biserial),
            **{key: Number(value=float(count)) for key, count in zip(_OUTCOMES, row.outcomes, strict=True)},
            "outcomes": " / ".join(map(str, row.outcomes)),
            "n": Number(value=float(values.n_groups)),
        },
    )
