import json
import math

import pytest

from nnunet_mamba.evaluation.protocols import score_labels
from nnunet_mamba.results.confusion import Confusion, ScoredCase


def case(identifier, tp, fp, fn, tn, label="lesion"):
    return ScoredCase(identifier=identifier, confusions={label: Confusion(tp=tp, fp=fp, fn=fn, tn=tn)})


def test_protocols_differ_on_a_large_good_and_a_small_bad_case():
    (scores,) = score_labels([case("large", 900, 50, 50, 0), case("small", 1, 0, 9, 990)])
    assert scores.mean_case_dice == pytest.approx((1800 / 1900 + 2 / 11) / 2)
    assert scores.mean_case_iou == pytest.approx((900 / 1000 + 1 / 10) / 2)
    assert scores.pooled == Confusion(tp=901, fp=50, fn=59, tn=990)
    assert scores.pooled.dice == pytest.approx(1802 / 1911)
    assert scores.pooled.iou == pytest.approx(901 / 1010)
    assert scores.pooled.dice - scores.mean_case_dice > 0.3


def test_case_without_label_is_left_out_of_the_mean_and_pooled_as_background():
    (scores,) = score_labels([case("empty", 0, 0, 0, 100), case("half", 10, 20, 0, 70)])
    assert scores.n_cases == 2
    assert scores.n_empty == 1
    assert scores.mean_case_dice == pytest.approx(20 / 40)
    assert scores.pooled.specificity == pytest.approx(170 / 190)


def test_false_alarm_in_an_empty_case_counts_zero():
    (scores,) = score_labels([case("alarm", 0, 5, 0, 95), case("good", 10, 0, 0, 90)])
    assert scores.n_empty == 0
    assert scores.n_empty_reference == 1
    assert scores.mean_case_dice == pytest.approx(0.5)


def test_only_empty_cases_have_no_dice():
    (scores,) = score_labels([case("empty", 0, 0, 0, 100)])
    assert math.isnan(scores.mean_case_dice)
    assert math.isnan(scores.pooled.dice)
    as_dict = scores.as_dict()
    assert as_dict["per_case"]["mean_dice"] is None
    json.dumps(as_dict, allow_nan=False)


def test_each_label_is_scored_by_itself():
    confusions = {"one": Confusion(tp=4, fp=0, fn=0, tn=6), "two": Confusion(tp=0, fp=4, fn=0, tn=6)}
    first, second = score_labels([ScoredCase(identifier="a", confusions=confusions)])
    assert (first.label, first.mean_case_dice) == ("one", 1.0)
    assert (second.label, second.mean_case_dice) == ("two", 0.0)


def test_refuses_no_case_and_cases_with_other_labels():
    with pytest.raises(ValueError, match="no case"):
        score_labels([])
    with pytest.raises(ValueError, match="Case b"):
        score_labels([case("a", 1, 0, 0, 0), case("b", 1, 0, 0, 0, label="edema")])
