import dataclasses
import math

import pytest

from nnunet_mamba.comparison.case_groups import CaseGroups
from nnunet_mamba.comparison.comparing import ComparisonOptions, compare_models
from nnunet_mamba.comparison.files import comparison_as_dict
from nnunet_mamba.comparison.metrics import METRICS, find_metric
from nnunet_mamba.comparison.statistics.holm import holm
from nnunet_mamba.comparison.statistics.paired_difference import Resampling
from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure, MaskDistances
from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
from nnunet_mamba.results.confusion import Confusion, ScoredCase

FEW = Resampling(n_resamples=1000)
NAMES = [f"c{n:02d}" for n in range(12)]
NOTHING = Confusion(tp=0, fp=0, fn=0, tn=100)


def compare(models, *, groups=None, **options):
    return compare_models(models, groups or CaseGroups(), ComparisonOptions(resampling=FEW, **options))


@pytest.fixture
def three(make_model):
    """A finds more than B in every case, and C as much as B."""
    worse = {name: 8 + n % 4 for n, name in enumerate(NAMES)}
    better = {name: pixels + 2 + n % 5 for n, (name, pixels) in enumerate(worse.items())}
    return [make_model("A", better), make_model("B", worse), make_model("C", worse)]


def with_labels(model, labels):
    """Give a model several labels, each from the pixels that it finds in each case."""
    cases = [
        ScoredCase(identifier=case.identifier, confusions={label: counts(case) for label, counts in labels.items()})
        for case in model.cases
    ]
    return dataclasses.replace(model, cases=cases, labels=None)


def test_all_pairs_are_compared_and_corrected_together(three):
    found = compare(three)
    assert [(row.first, row.second) for row in found.rows] == [("A", "B"), ("A", "C"), ("B", "C")]
    assert [row.p_holm for row in found.rows] == pytest.approx(holm([row.values.p_value for row in found.rows]))
    assert found.rows[0].p_holm == pytest.approx(3 * found.rows[0].values.p_value)
    assert [row.better for row in found.rows] == ["A", "A", None]
    assert [row.outcomes for row in found.rows] == [(12, 0, 0), (12, 0, 0), (0, 12, 0)]


def test_all_others_are_compared_with_a_baseline(three):
    found = compare(three, against="C")
    assert [(row.first, row.second) for row in found.rows] == [("A", "C"), ("B", "C")]
    with pytest.raises(ValueError, match="`against='D'`: the models are A, B, C; name one of these"):
        compare(three, against="D")


def test_two_models_on_one_label_need_no_correction(three):
    row = compare(three[:2]).rows[0]
    assert row.p_holm == row.values.p_value
    assert row.label == "lesion"


def test_the_mean_over_labels_is_that_of_labels_with_both_scores(make_model):
    model = make_model("A", dict.fromkeys("ab", 10))

    def small(case):
        return NOTHING if case.identifier == "a" else Confusion(tp=5, fp=0, fn=0, tn=95)

    def alarm(case):
        return Confusion(tp=0, fp=1, fn=0, tn=99) if case.identifier == "a" else Confusion(tp=0, fp=0, fn=5, tn=95)

    def large(case):
        return case.confusions["lesion"]

    one = with_labels(model, {"large": large, "small": small})
    other = with_labels(dataclasses.replace(model, name="B"), {"large": large, "small": alarm})
    found = compare([one, other])
    assert [row.label for row in found.rows] == ["large", "small", "mean of labels"]
    large_row, small_row, mean_row = found.rows
    assert (large_row.values.n_cases, small_row.values.n_cases, mean_row.values.n_cases) == (2, 1, 2)
    assert (small_row.n_empty_first, small_row.n_empty_second) == (1, 0)
    # In a, small has no score in A, so both means are those of large; in b, B misses small.
    dice = 2 * 10 / 30
    assert mean_row.values.mean_first == pytest.approx((dice + (dice + 1) / 2) / 2)
    assert mean_row.values.mean_second == pytest.approx((dice + dice / 2) / 2)
    assert found.main_rows == [mean_row]


def test_chosen_labels_alone_are_compared(make_model):
    def counts(case):
        return case.confusions["lesion"]

    models = [
        with_labels(make_model(name, {"a": 5, "b": 6}), dict.fromkeys(("x", "y", "z"), counts)) for name in ("A", "B")
    ]
    assert [row.label for row in compare(models, labels=["y"]).rows] == ["y"]
    assert [row.label for row in compare(models, labels=["z", "x"]).rows] == ["z", "x", "mean of labels"]
    with pytest.raises(ValueError, match="`label='w'`: the models have x, y, z; name one of these"):
        compare(models, labels=["w"])


def test_groups_are_what_is_counted(three):
    groups = CaseGroups(by_case={name: f"P{n // 3}" for n, name in enumerate(NAMES)})
    found = compare(three[:2], groups=groups)
    assert (found.rows[0].values.n_cases, found.rows[0].values.n_groups) == (12, 4)
    # Four patients cannot give a p below 0.125, however clear the difference is.
    assert found.rows[0].values.p_value == 0.125
    assert found.rows[0].better is None


def test_a_shorter_distance_is_the_better_one(make_model):
    def distances(length):
        by_case = {name: {"lesion": MaskDistances(hd95=length + n, assd=1, nsd=0.5)} for n, name in enumerate(NAMES)}
        return MeasuredDistances(by_case=by_case, measure=DistanceMeasure(), unit="mm")

    models = [
        make_model(name, dict.fromkeys(NAMES, 10), distances=distances(length)) for name, length in (("A", 2), ("B", 5))
    ]
    found = compare(models, metric=METRICS["hd95"])
    assert found.unit == "mm"
    assert found.rows[0].values.difference == -3
    assert (found.rows[0].better, found.rows[0].outcomes) == ("A", (12, 0, 0))
    assert compare(models, metric=METRICS["nsd"]).unit == "points"


def test_nothing_is_shown_where_interval_and_test_disagree(three):
    row = compare(three[:2]).rows[0]
    assert row.is_shown
    opposed = dataclasses.replace(row, values=dataclasses.replace(row.values, rank_biserial=-0.5))
    wide = dataclasses.replace(row, values=dataclasses.replace(row.values, low=-0.1))
    unsure = dataclasses.replace(row, p_holm=0.06)
    for changed in (opposed, wide, unsure, dataclasses.replace(row, p_holm=math.nan)):
        assert changed.better is None


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="`metric='volume'`: expected one of dice, iou, sensitivity"):
        find_metric("volume")


def test_a_label_that_no_case_has_is_no_test(three):
    def nothing(_):
        return NOTHING

    def lesion(case):
        return case.confusions["lesion"]

    found = compare([with_labels(model, {"lesion": lesion, "absent": nothing}) for model in three[:2]])
    assert [row.values.n_cases for row in found.rows] == [12, 0, 12]
    assert found.n_tests == 2
    assert found.rows[0].p_holm == pytest.approx(2 * found.rows[0].values.p_value)
    assert math.isnan(found.rows[1].values.rank_biserial)
    assert comparison_as_dict(found)["n_tests"] == 2
