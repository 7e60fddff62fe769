import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nnunet_mamba.comparison.statistics.paired_difference import (
    PairedDifference,
    Resampling,
    bootstrap_interval,
    paired_difference,
)

FEW = Resampling(n_resamples=1000)


def compare(first, second, groups=None, *, resampling=FEW, tolerance=0.0) -> PairedDifference:
    groups = list(map(str, range(len(first)))) if groups is None else groups
    return paired_difference(first, second, groups, resampling=resampling, tolerance=tolerance)


def test_means_and_counts_are_those_of_the_pairs():
    found = compare([0.9, 0.8, 0.7, math.nan, 0.5], [0.8, 0.8, 0.9, 0.1, math.nan])
    assert (found.n_cases, found.n_groups) == (3, 3)
    assert found.mean_first == pytest.approx(0.8)
    assert found.mean_second == pytest.approx(2.5 / 3)
    assert found.difference == pytest.approx(-0.1 / 3)
    assert (found.n_higher, found.n_equal, found.n_lower) == (1, 1, 1)


def test_a_tolerance_makes_ties_and_changes_nothing_else():
    scores = [0.9, 0.8, 0.75], [0.88, 0.82, 0.7]
    exact, tolerant = compare(*scores), compare(*scores, tolerance=0.02)
    assert (tolerant.n_higher, tolerant.n_equal, tolerant.n_lower) == (1, 2, 0)
    assert replace(tolerant, n_higher=2, n_equal=0, n_lower=1) == exact


def test_scores_that_differ_by_rounding_alone_are_equal():
    found = compare([0.1 + 0.2, 0.5], [0.3, 0.5])
    assert (found.n_higher, found.n_equal, found.n_lower) == (0, 2, 0)
    assert found.p_value == 1


def test_wilcoxon_and_both_effect_sizes_follow_their_formulas():
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0.5, 1, 30), rng.uniform(0.5, 1, 30)
    found = compare(first, second)
    differences = np.round(first - second, 9)
    result = stats.wilcoxon(differences)
    assert found.p_value == pytest.approx(result.pvalue)
    assert found.cohens_dz == pytest.approx(differences.mean() / differences.std(ddof=1))
    ranks = stats.rankdata(np.abs(differences))
    above, below = ranks[differences > 0].sum(), ranks[differences < 0].sum()
    assert min(above, below) == pytest.approx(result.statistic)
    assert found.rank_biserial == pytest.approx((above - below) / (above + below))


def test_the_exact_p_of_a_few_that_all_agree():
    found = compare([0.9, 0.8, 0.7, 0.6, 0.5], [0.8, 0.6, 0.4, 0.2, 0.0])
    assert found.p_value == pytest.approx(2 / 2**5) == found.smallest_p
    assert found.rank_biserial == 1


def test_equal_models_have_no_difference_and_no_nan():
    found = compare([0.9, 0.8, 0.7], [0.9, 0.8, 0.7])
    assert (found.difference, found.low, found.high, found.p_value, found.rank_biserial) == (0, 0, 0, 1, 0)
    assert math.isnan(found.cohens_dz)


@pytest.mark.parametrize("n", [0, 1])
def test_one_group_has_no_interval(n):
    found = compare([0.9, 0.8][:n], [0.7, 0.9][:n], ["a", "a"][:n])
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(found.detectable)
    assert found.as_dict()["low"] is None


def test_swapping_the_models_changes_the_sign_alone():
    rng = np.random.default_rng(1)
    first, second, groups = rng.uniform(0, 1, 40), rng.uniform(0, 1, 40), [str(n // 4) for n in range(40)]
    one, other = compare(first, second, groups), compare(second, first, groups)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p_value == pytest.approx(other.p_value)
    assert one.rank_biserial == pytest.approx(-other.rank_biserial)
    assert (one.n_higher, one.n_lower) == (other.n_lower, other.n_higher)


def test_the_interval_does_not_depend_on_the_order_of_cases():
    rng = np.random.default_rng(2)
    first, second, groups = rng.uniform(0, 1, 30), rng.uniform(0, 1, 30), np.array([f"p{n // 3}" for n in range(30)])
    order = rng.permutation(30)
    one, other = compare(first, second, groups), compare(first[order], second[order], groups[order])
    assert (one.low, one.high, one.p_value) == pytest.approx((other.low, other.high, other.p_value))


def test_the_same_seed_gives_the_same_interval_and_another_one_does_not():
    rng = np.random.default_rng(3)
    scores = rng.uniform(0, 1, (2, 20))
    assert compare(*scores) == compare(*scores)
    assert compare(*scores).low != compare(*scores, resampling=Resampling(n_resamples=1000, seed=1)).low


def test_many_cases_give_the_interval_of_the_normal_distribution():
    differences = np.random.default_rng(4).normal(0.01, 0.1, 2000)
    low, high = bootstrap_interval(differences, np.ones(2000), Resampling(n_resamples=4000))
    margin = 1.96 * differences.std(ddof=1) / math.sqrt(2000)
    assert (low, high) == pytest.approx((differences.mean() - margin, differences.mean() + margin), abs=0.1 * margin)


def test_resampling_in_parts_draws_the_same(monkeypatch):
    module = "nnunet_mamba.comparison.statistics.paired_difference"
    sums, counts = np.random.default_rng(5).normal(size=12), np.ones(12)
    whole = bootstrap_interval(sums, counts, FEW)
    monkeypatch.setattr(f"{module}._MOST_DRAWN", 100)
    assert bootstrap_interval(sums, counts, FEW) == pytest.approx(whole)


def test_patients_whose_cases_agree_widen_the_interval():
    """Ten copies of each case are no more evidence than one; as cases of their own they would seem to be."""
    once = np.random.default_rng(6).normal(0.02, 0.1, 20)
    patients = [f"p{n}" for n in range(20)] * 10
    copied, zeros = np.tile(once, 10), np.zeros(200)
    single = compare(once, np.zeros(20))
    by_patient, by_case = compare(copied, zeros, patients), compare(copied, zeros)
    assert by_patient.n_groups == 20
    assert by_patient.difference == pytest.approx(single.difference)
    assert by_patient.high - by_patient.low == pytest.approx(single.high - single.low)
    assert by_patient.p_value == pytest.approx(single.p_value)
    assert by_patient.high - by_patient.low > 2.5 * (by_case.high - by_case.low)
    assert by_case.p_value < by_patient.p_value


def test_the_mean_is_over_cases_and_ranks_are_over_groups():
    found = compare([0.9] * 9 + [0.1], [0.8] * 9 + [0.3], ["large"] * 9 + ["small"])
    assert found.difference == pytest.approx((9 * 0.1 - 0.2) / 10)
    assert found.rank_biserial == pytest.approx((1 - 2) / 3)


def test_what_is_detectable_is_detected_four_times_out_of_five():
    rng = np.random.default_rng(7)
    sigma, n = 0.1, 60
    true = 2.8016 * sigma / math.sqrt(n)
    samples = rng.normal(true, sigma, (4000, n))
    t = samples.mean(axis=1) / (samples.std(axis=1, ddof=1) / math.sqrt(n))
    assert (t > stats.t.ppf(0.975, n - 1)).mean() == pytest.approx(0.8, abs=0.02)
    found = compare(samples[0], np.zeros(n))
    assert found.detectable == pytest.approx(2.8016 * samples[0].std(ddof=1) / math.sqrt(n), rel=1e-3)


@pytest.mark.parametrize("n_groups", [12, 60])
def test_models_that_do_not_differ_are_told_apart_as_rarely_as_said(n_groups):
    """200 comparisons of equal models on patients with 1 to 6 cases that agree: 5 % each of p and of the interval."""
    rng = np.random.default_rng(8)
    n_outside = n_significant = 0
    for _ in range(200):
        sizes = rng.integers(1, 7, n_groups)
        groups = np.repeat([f"p{n:02d}" for n in range(n_groups)], sizes)
        differences = np.repeat(rng.normal(0, 0.1, n_groups), sizes) + rng.normal(0, 0.05, sizes.sum())
        found = compare(differences, np.zeros(len(differences)), groups)
        n_outside += not found.low <= 0 <= found.high
        n_significant += found.p_value < 0.05
    # 99.9 % of such counts are at most 21.
    assert n_significant <= 21
    assert n_outside <= 21


def test_refuses_other_numbers_of_scores_and_a_negative_tolerance():
    with pytest.raises(ValueError, match="2 and 1 scores of 2 cases"):
        paired_difference([1, 2], [1], ["a", "b"], resampling=FEW)
    with pytest.raises(ValueError, match=r"`tie` is -0\.1, expected a difference of 0 or more"):
        compare([1], [1], tolerance=-0.1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_resamples": 10}, "10 resamples do not tell the bounds; set `resamples` to 1000 or more"),
        ({"seed": -1}, "`seed` is -1, expected 0 or more"),
        ({"confidence": 95}, "confidence is 95, expected a number between 0 and 1"),
    ],
)
def test_refuses_resampling_that_makes_no_sense(options, text):
    with pytest.raises(ValueError, match=text):
        Resampling(**options)
