"""What can be said of the mean difference between two models' scores of the same cases, by groups of cases.

Slices of one brain, or photographs of one patient, are no evidence of their own: whatever is drawn or ranked here is a
group, with all of its cases.

- Difference: mean over all cases of the first score less the second.
- Interval: bootstrap of that mean, never of a median. Groups are drawn with replacement, and the mean is taken over
  all cases that they bring. The bounds are percentiles, a little further out than 2.5 % and 97.5 %, as few groups need
  (Hesterberg 2015, doi:10.1080/00031305.2015.1089789): for n groups at Phi(∓sqrt(n / (n - 1)) t), where t is Student's
  with n - 1 degrees of freedom. ``benchmarks/interval_coverage.py`` compares its coverage with that of others.
- p: Wilcoxon's signed-rank test, two-sided, on the mean difference of each group; groups without difference are left
  out.
- Effect sizes, both on the same means of groups: Cohen's d_z = mean / standard deviation, and the matched-pairs
  rank-biserial correlation (W+ - W-) / (W+ + W-) of Wilcoxon's sums of ranks.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# The same score by another way of rounding is the same score.
ROUNDING_DIGITS = 9
# Of a test at 5 %, two-sided, that misses a difference one time in five: the sum of both quantiles of the normal.
_POWER_FACTOR = 1.959964 + 0.841621
# Numbers that are held at once while resampling.
_MOST_DRAWN = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How the bootstrap draws.

    Args:
        n_resamples: at least 1000; fewer do not tell the bounds.
        seed: of the draws, so that the same scores give the same interval.
        confidence: of the interval, between 0 and 1.

    Raises:
        ValueError: one of them is out of its range.
    """

    n_resamples: int = 10_000
    seed: int = 0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.n_resamples < 1000:
            raise ValueError(f"{self.n_resamples} resamples do not tell the bounds; set `resamples` to 1000 or more")
        if self.seed < 0:
            raise ValueError(f"`seed` is {self.seed}, expected 0 or more")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence is {self.confidence}, expected a number between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """Two models on the same cases; NaN where something cannot be said of so few.

    Args:
        n_cases: with both scores.
        n_groups: of these cases.
        mean_first: over these cases.
        mean_second: over these cases.
        difference: of the means, first less second.
        low: lower bound of its interval; NaN for fewer than two groups.
        high: upper bound.
        p_value: Wilcoxon's; 1 where no group differs, NaN without any case.
        smallest_p: that so many groups could give at best.
        cohens_dz: NaN for fewer than two groups, or where all differ alike.
        rank_biserial: -1 to 1, 0 where no group differs, NaN without any case.
        n_higher: cases where the first score is higher by more than the tolerance.
        n_equal: cases within the tolerance.
        n_lower: cases where it is lower.
        detectable: true difference that so many groups show four times out of five; NaN for fewer than two.
    """

    n_cases: int
    n_groups: int
    mean_first: float
    mean_second: float
    difference: float
    low: float
    high: float
    p_value: float
    smallest_p: float
    cohens_dz: float
    rank_biserial: float
    n_higher: int
    n_equal: int
    n_lower: int
    detectable: float

    def as_dict(self) -> dict[str, int | float | None]:
        """Return plain values for JSON, None for NaN."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}


def paired_difference(
    first: Sequence[float],
    second: Sequence[float],
    groups: Sequence[str],
    *,
    resampling: Resampling,
    tolerance: float = 0.0,
) -> PairedDifference:
    """Compare two models' scores of the same cases.

    Args:
        first: of one model, one for each case; NaN is no score.
        second: of the other model, in the same order. A case without one of its scores is left out.
        groups: the group of each case.
        resampling: of the interval.
        tolerance: up to which two scores count as equal in ``n_equal``, and nowhere else; ≥ 0.

    Raises:
        ValueError: lengths differ, or the tolerance is negative.
    """
    if not len(first) == len(second) == len(groups):
        raise ValueError(f"{len(first)} and {len(second)} scores of {len(groups)} cases, expected one for each case")
    if not tolerance >= 0:
        raise ValueError(f"`tie` is {tolerance}, expected a difference of 0 or more")
    scores = np.array([first, second], np.float64).reshape(2, -1)
    is_paired = ~np.isnan(scores).any(axis=0)
    scores = scores[:, is_paired]
    differences = np.round(scores[0] - scores[1], ROUNDING_DIGITS)
    sums, counts = _by_group(differences, np.array(groups, dtype=str)[is_paired])
    n_cases, n_groups = len(differences), len(sums)
    means = np.round(sums / counts, ROUNDING_DIGITS)
    low, high = bootstrap_interval(sums, counts, resampling)
    limit = tolerance + 10.0**-ROUNDING_DIGITS / 2
    return PairedDifference(
        n_cases=n_cases,
        n_groups=n_groups,
        mean_first=_mean(scores[0]),
        mean_second=_mean(scores[1]),
        difference=_mean(differences),
        low=low,
        high=high,
        p_value=_wilcoxon_p(means),
        smallest_p=min(1.0, 2 * 0.5 ** int(np.count_nonzero(means))) if n_groups else math.nan,
        cohens_dz=_cohens_dz(means),
        rank_biserial=_rank_biserial(means),
        n_higher=int((differences > limit).sum()),
        n_equal=int((np.abs(differences) <= limit).sum()),
        n_lower=int((differences < -limit).sum()),
        detectable=_POWER_FACTOR * _standard_error(sums, counts),
    )


def bootstrap_interval(sums: Array, counts: Array, resampling: Resampling) -> tuple[float, float]:
    """Return the bounds of the mean over all cases, from resamples of whole groups.

    Args:
        sums: of the differences in each group, (n,).
        counts: cases of each group, (n,).
        resampling: number of resamples, seed and confidence.

    Returns:
        Lower and upper bound; NaN for fewer than two groups.
    """
    n_groups = len(sums)
    if n_groups < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(resampling.seed)
    n_at_once = max(1, _MOST_DRAWN // n_groups)
    resampled = []
    for start in range(0, resampling.n_resamples, n_at_once):
        n_rows = min(n_at_once, resampling.n_resamples - start)
        drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_rows)
        resampled.append((drawn @ sums) / (drawn @ counts))
    part = _part_below(n_groups, resampling.confidence)
    low, high = np.quantile(np.concatenate(resampled), [part, 1 - part])
    return float(low), float(high)


def _part_below(n_groups: int, confidence: float) -> float:
    """Return which part of the resampled means lies below the lower bound."""
    from scipy.special import ndtr, stdtrit

    t = stdtrit(n_groups - 1, (1 + confidence) / 2)
    return float(ndtr(-math.sqrt(n_groups / (n_groups - 1)) * t))


def _by_group(differences: Array, groups: npt.NDArray[np.str_]) -> tuple[Array, Array]:
    """Return the sum of the differences and the number of cases in each group."""
    _, indices = np.unique(groups, return_inverse=True)
    # Sums must not depend on the version of numpy that shapes the indices.
    indices = indices.reshape(-1)
    counts = np.bincount(indices)
    return np.bincount(indices, weights=differences).astype(np.float64), counts.astype(np.float64)


def _standard_error(sums: Array, counts: Array) -> float:
    n_groups = len(sums)
    if n_groups < 2:
        return math.nan
    residuals = sums - counts * (sums.sum() / counts.sum())
    return math.sqrt(n_groups / (n_groups - 1) * float((residuals**2).sum())) / float(counts.sum())


def _wilcoxon_p(means: Array) -> float:
    from scipy.stats import wilcoxon

    if not len(means):
        return math.nan
    differing = means[means != 0]
    return float(wilcoxon(differing).pvalue) if len(differing) else 1.0


def _rank_biserial(means: Array) -> float:
    from scipy.stats import rankdata

    if not len(means):
        return math.nan
    differing = means[means != 0]
    ranks = rankdata(np.abs(differing))
    return float((ranks * np.sign(differing)).sum() / ranks.sum()) if len(differing) else 0.0


def _cohens_dz(means: Array) -> float:
    deviation = float(np.std(means, ddof=1)) if len(means) > 1 else 0.0
    return float(means.mean()) / deviation if deviation > 0 else math.nan


def _mean(values: Array) -> float:
    return math.fsum(values) / len(values) if len(values) else math.nan
