import dataclasses
import math

import pytest

from nnunet_mamba.comparison.comparability import refuse_incomparable
from nnunet_mamba.comparison.metrics import METRICS
from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure
from nnunet_mamba.evaluation.measured_distances import MeasuredDistances
from nnunet_mamba.results.confusion import Confusion, ScoredCase


def test_models_of_the_same_cases_pass(make_model):
    refuse_incomparable([make_model("A", {"a": 10, "b": 20}), make_model("B", {"b": 1, "a": 0})])


def test_one_model_is_no_comparison(make_model):
    with pytest.raises(ValueError, match="1 model to compare, expected two or more"):
        refuse_incomparable([make_model("A", {"a": 1})])


def test_other_cases_are_refused_with_their_names(make_model):
    models = make_model("A", {"a": 1, "b": 2, "c": 3}), make_model("B", {"a": 1, "d": 2})
    with pytest.raises(
        ValueError, match=r"^A and B were scored on other cases, 2 only in A \(b, c\) and 1 only in B \(d\): "
    ):
        refuse_incomparable(models)


def test_another_split_of_the_same_cases_is_refused(make_model):
    cases = {"a": 1, "b": 2, "c": 3}
    models = [
        make_model("A", cases, folds={"a": "0", "b": "0", "c": "1"}),
        make_model("B", cases, folds={"a": "0", "b": "1", "c": "0"}),
    ]
    with pytest.raises(
        ValueError, match="another split: b is validated by fold 0 of one and fold 1 of the other, as are 2 cases"
    ):
        refuse_incomparable(models)


def test_other_labels_are_refused(make_model):
    one, other = make_model("A", {"a": 1}), make_model("B", {"a": 1})
    other = dataclasses.replace(other, labels={"background": 0, "lesion": 2})
    with pytest.raises(ValueError, match=r"other labels, .*lesion = 1 and .*lesion = 2: .*compare models of the same"):
        refuse_incomparable([one, other])
    renamed = [ScoredCase(identifier="a", confusions={"tumour": one.cases[0].confusions["lesion"]})]
    with pytest.raises(ValueError, match="A and C have other labels, lesion and tumour: their"):
        refuse_incomparable([one, dataclasses.replace(one, name="C", cases=renamed)])


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        (Confusion(tp=10, fp=0, fn=10, tn=380), "a has 100 pixels for one and 400 for the other"),
        (
            Confusion(tp=10, fp=0, fn=0, tn=90),
            "a has 20 pixels of lesion in the reference for one and 10 for the other",
        ),
    ],
)
def test_another_protocol_shows_in_the_counts(make_model, counts, text):
    models = make_model("A", {"a": 10}), make_model("B", {"a": counts})
    with pytest.raises(ValueError, match=f"^A and B were scored by another protocol: {text}; score both"):
        refuse_incomparable(models)


def test_distances_of_another_tolerance_are_refused(make_model):
    models = [
        make_model(
            name,
            {"a": 10},
            distances=MeasuredDistances(by_case={}, measure=DistanceMeasure(tolerance=tolerance), unit="mm"),
        )
        for name, tolerance in (("A", 1), ("B", 2))
    ]
    with pytest.raises(ValueError, match=r"another protocol: .*tolerance of 1 mm .*tolerance of 2 mm"):
        refuse_incomparable(models)


def test_empty_masks_count_by_the_one_rule(make_model):
    nothing = Confusion(tp=0, fp=0, fn=0, tn=100)
    false_alarm, missed = Confusion(tp=0, fp=5, fn=0, tn=95), Confusion(tp=0, fp=0, fn=5, tn=95)
    model = make_model("A", {"both": nothing, "alarm": false_alarm, "missed": missed, "found": 10})
    for name in ("dice", "iou", "sensitivity", "precision"):
        scores = [model.score(case, "lesion", METRICS[name]) for case in ("both", "alarm", "missed")]
        assert math.isnan(scores[0])
        assert scores[1:] == [0, 0], name
    assert model.score("found", "lesion", METRICS["dice"]) == pytest.approx(2 * 10 / 30)


def test_one_case_of_another_split_is_told_in_the_singular(make_model):
    models = [
        make_model(name, {"a": 1, "b": 2}, folds={"a": "0", "b": fold}) for name, fold in (("A", "0"), ("B", "1"))
    ]
    with pytest.raises(
        ValueError, match=r"another split: b is validated by .* of the other, as is 1 case in all; train"
    ):
        refuse_incomparable(models)
