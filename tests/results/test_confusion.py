import math

import pytest

from nnunet_mamba.results.confusion import Confusion, ScoredCase, mean


def test_ratios_by_hand():
    confusion = Confusion(tp=30, fp=10, fn=20, tn=40)
    assert confusion.dice == pytest.approx(60 / 90)
    assert confusion.iou == pytest.approx(30 / 60)
    assert confusion.sensitivity == pytest.approx(30 / 50)
    assert confusion.specificity == pytest.approx(40 / 50)
    assert confusion.precision == pytest.approx(30 / 40)
    assert confusion.accuracy == pytest.approx(70 / 100)


def test_dice_of_a_case_is_the_mean_of_the_labels_it_has():
    both = ScoredCase(
        identifier="a",
        confusions={
            "one": Confusion(tp=1, fp=0, fn=0, tn=9),
            "two": Confusion(tp=1, fp=1, fn=1, tn=7),
            "absent": Confusion(tp=0, fp=0, fn=0, tn=10),
        },
    )
    assert both.dice == pytest.approx(0.75)


def test_mean_ignores_nan():
    assert mean([1.0, math.nan, 3.0]) == 2.0
    assert math.isnan(mean([]))
