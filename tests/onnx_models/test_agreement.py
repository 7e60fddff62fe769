"""When two sets of logits are equal up to rounding."""

import numpy as np
import pytest

from nnunet_mamba.onnx_models.agreement import Tolerance, agreement, probabilities_of, worst_of
from nnunet_mamba.system.checked_entries import Entry

LOGITS = np.random.default_rng(0).normal(size=(2, 3, 40, 50)).astype(np.float32) * 8


@pytest.mark.parametrize("has_regions", [False, True])
def test_equal_logits_agree(has_regions):
    found = agreement(LOGITS, LOGITS, has_regions=has_regions)
    assert (found.error, found.equal_labels) == (0, 1)
    assert found.is_within(Tolerance(error=0))


def test_the_error_counts_relative_to_the_largest_logit_but_not_to_small_ones():
    small = np.array([[[[1e-3]]]], np.float32)
    assert agreement(small + np.float32(9e-5), small, has_regions=True).is_within(Tolerance(error=1e-4))
    assert not agreement(LOGITS + np.float32(0.1), LOGITS, has_regions=True).is_within(Tolerance(error=1e-4))
    assert agreement(1000 * LOGITS + np.float32(0.1), 1000 * LOGITS, has_regions=True).is_within(Tolerance(error=1e-4))


@pytest.mark.parametrize("has_regions", [False, True])
def test_labels_that_flip_are_counted(has_regions):
    changed = LOGITS.copy()
    changed[0, :, 3, 4] *= -1
    assert agreement(changed, LOGITS, has_regions=has_regions).equal_labels == pytest.approx(1 - 1 / 4000)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_never_agrees(value):
    changed = LOGITS.copy()
    changed[0, 0, 0, 0] = value
    assert not agreement(changed, LOGITS, has_regions=True).is_within(Tolerance(error=1e9))
    assert not agreement(LOGITS, changed, has_regions=True).is_within(Tolerance(error=1e9))


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        agreement(LOGITS[:1], LOGITS, has_regions=True)


def test_large_networks_may_differ_more():
    assert Tolerance.of_network(20_000_000) == Tolerance(error=1e-4, other_labels=1e-4)
    assert Tolerance.of_network(20_000_001) == Tolerance(error=1e-3, other_labels=1e-4)


def _with_other_labels(n):
    found = LOGITS.copy()
    found[0, :].reshape(3, -1)[:, :n] *= -1
    return agreement(found, LOGITS, has_regions=True)


def test_one_pixel_in_ten_thousand_may_have_another_label_and_one_in_fewer():
    assert _with_other_labels(1).is_within(Tolerance(error=100))
    assert not _with_other_labels(2).is_within(Tolerance(error=100))
    assert _with_other_labels(2).is_within(Tolerance(error=100, other_labels=2 / 4000))


def test_what_a_network_rounds_itself_is_allowed_up_to_a_hundredth_of_the_labels():
    own = _with_other_labels(5)
    allowed = Tolerance.of_rounding(own, 3)
    assert allowed.error == pytest.approx(3 * own.relative_error)
    assert allowed.other_labels == pytest.approx(15 / 4000)
    assert Tolerance.of_rounding(_with_other_labels(500), 3).other_labels == 0.01
    assert Tolerance(error=100).or_more(allowed) == Tolerance(error=100, other_labels=allowed.other_labels)


@pytest.mark.parametrize("allowed", [Tolerance(error=1e-4), Tolerance(error=0.5, other_labels=0.002)])
def test_a_tolerance_is_read_as_it_was_written(allowed):
    assert Tolerance.from_entry(Entry(allowed.to_json(), "file", "way out")) == allowed


def test_the_worst_of_several_has_the_largest_error_and_the_fewest_equal_labels():
    worst = worst_of([_with_other_labels(7), agreement(LOGITS + np.float32(1000), LOGITS, has_regions=False)])
    assert worst.error == pytest.approx(1000, rel=1e-3)
    assert worst.equal_labels == 1 - 7 / 4000


def test_probabilities_are_softmax_or_sigmoid_without_overflow():
    large = 1000 * LOGITS
    assert probabilities_of(large, has_regions=False).sum(axis=1) == pytest.approx(1)
    inside = probabilities_of(large, has_regions=True)
    assert np.array_equal(inside > 0.5, large > 0)
    assert inside.dtype == np.float32
