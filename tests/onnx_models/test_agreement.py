"""When two sets of logits are equal up to rounding."""

import numpy as np
import pytest

from nnunet_mamba.onnx_models.agreement import agreement, allowed_error, probabilities_of

LOGITS = np.random.default_rng(0).normal(size=(2, 3, 40, 50)).astype(np.float32) * 8


@pytest.mark.parametrize("has_regions", [False, True])
def test_equal_logits_agree(has_regions):
    found = agreement(LOGITS, LOGITS, has_regions=has_regions)
    assert (found.error, found.equal_labels) == (0, 1)
    assert found.is_within(0)


def test_the_error_counts_relative_to_the_largest_logit_but_not_to_small_ones():
    small = np.array([[[[1e-3]]]], np.float32)
    assert agreement(small + np.float32(9e-5), small, has_regions=True).is_within(1e-4)
    assert not agreement(LOGITS + np.float32(0.1), LOGITS, has_regions=True).is_within(1e-4)
    assert agreement(1000 * LOGITS + np.float32(0.1), 1000 * LOGITS, has_regions=True).is_within(1e-4)


@pytest.mark.parametrize("has_regions", [False, True])
def test_labels_that_flip_are_counted(has_regions):
    changed = LOGITS.copy()
    changed[0, :, 3, 4] *= -1
    assert agreement(changed, LOGITS, has_regions=has_regions).equal_labels == pytest.approx(1 - 1 / 4000)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_never_agrees(value):
    changed = LOGITS.copy()
    changed[0, 0, 0, 0] = value
    assert not agreement(changed, LOGITS, has_regions=True).is_within(1e9)
    assert not agreement(LOGITS, changed, has_regions=True).is_within(1e9)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        agreement(LOGITS[:1], LOGITS, has_regions=True)


def test_large_networks_may_differ_more():
    assert allowed_error(20_000_000) == 1e-4
    assert allowed_error(20_000_001) == 1e-3


def test_probabilities_are_softmax_or_sigmoid_without_overflow():
    large = 1000 * LOGITS
    assert probabilities_of(large, has_regions=False).sum(axis=1) == pytest.approx(1)
    inside = probabilities_of(large, has_regions=True)
    assert np.array_equal(inside > 0.5, large > 0)
    assert inside.dtype == np.float32
