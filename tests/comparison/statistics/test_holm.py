import math

import pytest

from nnunet_mamba.comparison.statistics.holm import holm


def test_each_p_counts_as_often_as_there_are_larger_ones():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_one_test_stays_as_it_is():
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_no_corrected_value_exceeds_one():
    assert holm([0.6, 0.9, 0.7]) == [1.0, 1.0, 1.0]


def test_what_is_no_test_stays_and_does_not_count():
    corrected = holm([math.nan, 0.02, 0.03])
    assert math.isnan(corrected[0])
    assert corrected[1:] == pytest.approx([0.04, 0.04])
