import numpy as np
import pytest
from scipy import ndimage

from nnunet_mamba.prediction.connected_parts import connected_parts


def snake(rows, columns):
    """One part of many runs that are joined one after the other."""
    mask = np.zeros((2 * rows, columns), bool)
    mask[::2] = True
    mask[1::4, -1] = mask[3::4, 0] = True
    return mask


@pytest.mark.parametrize("shape", [(37,), (1, 1), (1, 40), (40, 1), (31, 45), (7, 9, 11), (3, 4, 5, 6)], ids=str)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.6, 0.9, 1.0])
def test_parts_have_scipys_numbers(shape, share):
    for seed in range(5):
        mask = np.random.default_rng(seed).random(shape) < share
        np.testing.assert_array_equal(connected_parts(mask), ndimage.label(mask)[0])


@pytest.mark.parametrize("mask", [snake(1, 3), snake(50, 9), snake(50, 9).T, ~snake(50, 9)], ids=["a", "b", "c", "d"])
def test_long_ways_are_one_part(mask):
    np.testing.assert_array_equal(connected_parts(mask), ndimage.label(mask)[0])


def test_a_mask_may_be_a_part_of_a_larger_array():
    mask = (np.random.default_rng(0).random((40, 50)) < 0.5)[3:-5:2, ::-1]
    np.testing.assert_array_equal(connected_parts(mask), ndimage.label(mask)[0])
