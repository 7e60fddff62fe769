import numba
import numpy as np
import pytest

from nnunet_mamba.ops.cpu_kernels.lane_choices import (
    first_halves,
    load_first,
    second_halves,
    store_first,
    where_equal,
    where_larger,
)
from nnunet_mamba.ops.cpu_kernels.lanes import load, store
from nnunet_mamba.ops.cpu_kernels.sizes import LANES


@numba.njit
def _choose(x, y, first, second, results):
    store(results, 0, where_larger(load(x, 0), load(y, 0), load(first, 0), load(second, 0)))
    store(results, 16, where_equal(load(x, 0), load(y, 0), load(first, 0), load(second, 0)))
    store(results, 32, first_halves(load(first, 0), load(second, 0)))
    store(results, 48, second_halves(load(first, 0), load(second, 0)))


def test_each_lane_chooses_for_itself_and_nan_counts_as_larger():
    nan, inf = np.nan, np.inf
    x = np.array([1, 2, 3, nan, 0, nan, inf, -0.0, *[0] * 8], np.float32)
    y = np.array([2, 2, 1, 5, nan, nan, inf, 0.0, *[-1] * 8], np.float32)
    first, second = np.arange(LANES, dtype=np.float32), np.arange(100, 100 + LANES, dtype=np.float32)
    results = np.empty((4, LANES), np.float32)
    _choose(x, y, first, second, results.reshape(-1))
    larger = np.array([0, 0, 1, 1, 0, 1, 0, 0, *[1] * 8], bool)
    equal = np.array([0, 1, 0, 0, 0, 0, 1, 1, *[0] * 8], bool)
    np.testing.assert_array_equal(results[0], np.where(larger, first, second))
    np.testing.assert_array_equal(results[1], np.where(equal, first, second))
    np.testing.assert_array_equal(results[2], [*first[:8], *second[:8]])
    np.testing.assert_array_equal(results[3], [*first[8:], *second[8:]])


@numba.njit
def _move_first(source, target, width):
    store_first(target, 5, width, load_first(source, 3, width))


@numba.njit
def _read_first(source, target, width):
    store(target, 0, load_first(source, 3, width))


@pytest.mark.parametrize("width", [0, 1, 7, 8, 15, 16])
def test_a_part_of_a_row_moves_alone(width):
    source, target = np.arange(1, 31, dtype=np.float32), np.zeros(40, np.float32)
    _move_first(source, target, width)
    expected = np.zeros_like(target)
    expected[5 : 5 + width] = source[3 : 3 + width]
    np.testing.assert_array_equal(target, expected)
    _read_first(source, target, width)
    np.testing.assert_array_equal(target[:LANES], [*source[3 : 3 + width], *[0] * (LANES - width)])
