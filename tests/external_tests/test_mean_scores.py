import math

import pytest

from nnunet_mamba.evaluation.protocols import score_labels
from nnunet_mamba.external_tests.mean_scores import RATIOS, mean_scores
from nnunet_mamba.external_tests.models_under_test import ModelGroup
from nnunet_mamba.results.confusion import Confusion, ScoredCase


def _scores(*counts):
    cases = [
        ScoredCase(identifier=str(number), confusions={"lesion": Confusion(tp=tp, fp=fp, fn=fn, tn=tn)})
        for number, (tp, fp, fn, tn) in enumerate(counts)
    ]
    return score_labels(cases)


def _group(trainer):
    return ModelGroup(trainer=trainer, dataset="Dataset001_A", plans="nnUNetPlans", configuration="2d")


def test_means_and_sample_deviations_are_over_the_models_of_a_training():
    # Dice of 1/2 and 1 in the first, 1 and 1 in the second.
    scores = {
        "a": _scores((1, 1, 1, 1), (1, 0, 0, 3)),
        "b": _scores((2, 0, 0, 2), (1, 0, 0, 3)),
        "c": _scores((1,) * 4),
    }
    groups = {"a": _group("A"), "b": _group("A"), "c": _group("C")}
    first, second = mean_scores(scores, groups, RATIOS)
    assert first.names == ("a", "b")
    assert first.means["dice"] == pytest.approx((0.75 + 1) / 2)
    assert first.deviations["dice"] == pytest.approx(0.25 / math.sqrt(2))
    assert first.means["pooled_dice"] == pytest.approx((4 / 6 + 1) / 2)
    assert first.means["specificity"] == pytest.approx((4 / 5 + 1) / 2)
    assert (second.names, second.means["dice"]) == (("c",), 0.5)
    assert math.isnan(second.deviations["dice"])


def test_figures_have_the_names_of_the_papers_tables():
    (scores,) = _scores((6, 1, 2, 11))
    assert {figure.name: figure.of(scores) for figure in RATIOS} == pytest.approx(
        {
            "dice": 12 / 15,
            "pooled_dice": 12 / 15,
            "pooled_iou": 6 / 9,
            "sensitivity": 6 / 8,
            "specificity": 11 / 12,
            "accuracy": 17 / 20,
        }
    )
