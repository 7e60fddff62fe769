"""Half-precision logits become labels with whole-number operations, and as torch and nnU-Net compare them."""

import numpy as np
import pytest
import torch

from nnunet_mamba.prediction.label_maps import are_finite, label_map_of, probabilities_of
from nnunet_mamba.prediction.plan import Heads

EVERY = np.arange(1 << 16).astype(np.uint16).view(np.float16)
FINITE = EVERY[np.isfinite(EVERY)]
REGION = Heads(n_heads=1, region_values=(1,))


def test_every_number_is_inside_a_region_where_its_sigmoid_in_torch_is_above_a_half():
    expected = torch.sigmoid(torch.from_numpy(FINITE).float()) > 0.5
    np.testing.assert_array_equal(label_map_of(FINITE[None], REGION), expected.numpy())


@pytest.mark.parametrize("n", [2, 3])
def test_the_label_is_the_first_of_the_largest_logits(n):
    rng = np.random.default_rng(0)
    # Neighbours, equal ones, both zeros and both ends among them.
    logits = np.stack([FINITE, *(rng.permutation(FINITE) for _ in range(n - 1))])
    logits[1, : len(FINITE) // 3] = FINITE[1 : 1 + len(FINITE) // 3]
    logits[1, len(FINITE) // 3 : len(FINITE) // 2] = FINITE[len(FINITE) // 3 : len(FINITE) // 2]
    logits[:2, -4:] = [[0.0, -0.0, 1.0, -1.0], [-0.0, 0.0, 1.0, -1.0]]
    found = label_map_of(logits, Heads(n_heads=n, n_foreground=n - 1))
    np.testing.assert_array_equal(found, logits.astype(np.float32).argmax(axis=0))
    assert found.dtype == np.uint8


@pytest.mark.parametrize("heads", [REGION, Heads(n_heads=1)], ids=["regions", "labels"])
def test_probabilities_are_torchs(heads):
    logits = np.random.default_rng(0).normal(scale=20, size=(3, 7, 8)).astype(np.float16)
    whole = torch.from_numpy(logits).float()
    expected = torch.sigmoid(whole) if heads.region_values else torch.softmax(whole, 0)
    np.testing.assert_allclose(probabilities_of(logits, heads), expected.numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("bad", "finite"), [(float("nan"), False), (float("-inf"), False), (65504.0, True)])
def test_a_single_number_that_is_none_is_found(bad, finite):
    logits = np.zeros((2, 1, 3, 5), dtype=np.float16)
    logits[1, 0, 2, 4] = bad
    assert are_finite(logits) is finite
    assert are_finite(-logits) is finite
