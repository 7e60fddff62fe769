import numba
import numpy as np
import pytest

from nnunet_mamba.ops.cpu_kernels.lane_functions import EXP2_BOUND, exp2, exp2_of_product, sigmoid, softplus
from nnunet_mamba.ops.cpu_kernels.lane_transposes import (
    load_transposed,
    store_transposed,
    sum_lanes,
    sum_quads,
    sum_to_quads,
)
from nnunet_mamba.ops.cpu_kernels.lanes import (
    all_below,
    clamp,
    free_rows,
    larger_magnitude,
    load,
    load_row,
    multiply_add,
    new_rows,
    number,
    set_number,
    splat,
    spread,
    store,
    store_row,
)
from nnunet_mamba.ops.cpu_kernels.sizes import LANES


@numba.njit
def _functions(x, powers, sigmoids, softpluses):
    for i in range(0, x.size, LANES):
        lanes = load(x, i)
        store(powers, i, exp2(lanes))
        store(sigmoids, i, sigmoid(lanes))
        store(softpluses, i, softplus(lanes))


def _apply(x):
    x = np.concatenate([x, np.zeros(-len(x) % LANES)]).astype(np.float32)
    results = tuple(np.empty_like(x) for _ in range(3))
    _functions(x, *results)
    return x.astype(np.float64), results


def test_functions_are_accurate():
    x, (powers, sigmoids, softpluses) = _apply(np.linspace(-20, 20, 4000))
    np.testing.assert_allclose(powers, np.exp2(x), rtol=4e-7)
    # The argument times log2(e) is rounded before exp2: 20 times half a unit in the last place.
    np.testing.assert_allclose(sigmoids, 1 / (1 + np.exp(-x)), rtol=2e-6)
    np.testing.assert_allclose(softpluses, np.logaddexp(0, x), rtol=2e-6)


def test_exp2_of_zero_is_exactly_one_and_near_zero_differs_in_the_last_place_only():
    x, (powers, _, _) = _apply(np.concatenate([[0.0, -0.0], np.linspace(-1e-4, 1e-4, 200)]))
    assert (powers[:2] == 1).all()
    np.testing.assert_allclose(powers, np.exp2(x), rtol=0, atol=1.2e-7)


def test_functions_at_the_ends_of_the_range():
    nan, inf = np.nan, np.inf
    x = np.array([nan, inf, -inf, 1e30, -1e30, 128, -127, 21], np.float32)
    _, (powers, sigmoids, softpluses) = _apply(x)
    np.testing.assert_array_equal(powers[:7], [nan, inf, 0, inf, 0, inf, 0])
    np.testing.assert_array_equal(sigmoids[:6], [nan, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(softpluses[[0, 1, 2, 3, 4, 5, 7]], [nan, inf, 0, np.float32(1e30), 0, 128, 21])


@numba.njit
def _move(source, rows, target, sums, width):
    load_transposed(source, 3, 20, width, rows, 16)
    store_transposed(rows, 16, target, 3, 20, width)
    store(sums, 0, sum_lanes(rows, 16))


@pytest.mark.parametrize("width", [1, 12, 16])
def test_transposing_moves_present_channels_only(width):
    source = np.arange(1, 1 + 20 * LANES + 3, dtype=np.float32)
    rows, target, sums = np.full((32, LANES), -1, np.float32), np.zeros_like(source), np.zeros(LANES, np.float32)
    _move(source, rows, target, sums, width)
    channels = np.stack([source[3 + 20 * lane :][:16] for lane in range(width)])
    np.testing.assert_array_equal(rows[16:, :width], channels.T)
    assert not rows[16:, width:].any()
    assert (rows[:16] == -1).all()
    np.testing.assert_array_equal(sums, channels.sum(0))
    kept = np.zeros_like(source)
    for lane in range(width):
        kept[3 + 20 * lane :][:16] = channels[lane]
    np.testing.assert_array_equal(target, kept)


@numba.njit
def _sum_by_quads(rows, quads, sums):
    for token in range(LANES):
        first = 4 * token
        x, y = load_row(rows, first), load_row(rows, first + 1)
        store_row(quads, 3 + token, sum_to_quads(x, y, load_row(rows, first + 2), load_row(rows, first + 3)))
    x, y, z, w = sum_quads(quads, 3)
    store_row(sums, 0, x)
    store_row(sums, 1, y)
    store_row(sums, 2, z)
    store_row(sums, 3, w)


def test_quads_sum_the_lanes_of_four_rows_for_each_of_sixteen_tokens():
    # No two of the sums are equal, and all are exact: whole numbers below 2 ** 24.
    rows = np.arange(4 * LANES * LANES, dtype=np.float32).reshape(LANES, 4, LANES) ** 2
    quads, sums = np.zeros((3 + LANES, LANES), np.float32), np.zeros((4, LANES), np.float32)
    _sum_by_quads(rows.reshape(-1, LANES), quads, sums)
    np.testing.assert_array_equal(sums, rows.sum(2).T)


@numba.njit
def _calculate(x, y, results):
    a, b = load(x, 0), load_row(y, 0)
    store_row(results, 0, a + b)
    store_row(results, 1, a - np.float32(2))
    store_row(results, 2, np.float32(2) * b)
    store_row(results, 3, np.float32(1) / a)
    store_row(results, 4, multiply_add(a, b, splat(np.float32(3))))
    store_row(results, 5, clamp(a, np.float32(4), np.float32(6)))
    store_row(results, 6, spread(x, 5))


def test_arithmetic_between_lanes_and_scalars():
    x, y = np.arange(1, 17, dtype=np.float32), np.arange(16, 0, -1).astype(np.float32)
    results = np.empty(7 * LANES, np.float32)
    _calculate(x, y, results)
    expected = [x + y, x - 2, 2 * y, 1 / x, x * y + 3, x.clip(4, 6), np.full(16, x[5])]
    np.testing.assert_allclose(results.reshape(7, LANES), expected, rtol=1e-7)


@numba.njit
def _rows_of_our_own(n_rows):
    rows = new_rows(n_rows)
    for row in range(n_rows):
        store_row(rows, row, splat(np.float32(row)))
    total = splat(np.float32(0))
    for row in range(n_rows):
        total = total + load_row(rows, row)
    sums = np.empty(LANES, np.float32)
    store(sums, 0, total)
    free_rows(rows)
    return rows % 64, sums


@pytest.mark.parametrize("n_rows", [0, 1, 1000])
def test_rows_of_our_own_start_at_a_cache_line(n_rows):
    offset, sums = _rows_of_our_own(n_rows)
    assert offset == 0
    np.testing.assert_array_equal(sums, np.full(LANES, n_rows * (n_rows - 1) / 2))


@numba.njit
def _bounded_powers(x, y, powers):
    for i in range(0, x.size, LANES):
        store(powers, i, exp2_of_product(load(x, i), load(y, i)))


def test_exp2_of_a_product_does_not_lose_the_products_last_bits():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-11, 11, (2, 4096)).astype(np.float32)
    powers = np.empty_like(x)
    _bounded_powers(x, y, powers)
    assert abs(x.astype(np.float64) * y).max() < EXP2_BOUND
    # An exponent of 100 that is rounded to float32 alone would be off by up to 2.6e-6 of the result.
    np.testing.assert_allclose(powers, np.exp2(x.astype(np.float64) * y), rtol=4e-7)


def test_exp2_of_a_small_product_is_next_to_one():
    x = np.concatenate([[0.0, -0.0], np.linspace(-1e-4, 1e-4, 30)]).astype(np.float32)
    powers = np.empty_like(x)
    _bounded_powers(x, np.ones_like(x), powers)
    assert (powers[:2] == 1).all()
    np.testing.assert_allclose(powers, np.exp2(x.astype(np.float64)), rtol=0, atol=1.2e-7)


@numba.njit
def _compare(x, y, results, limit):
    larger = larger_magnitude(load(x, 0), load(y, 0))
    store(results, 0, larger)
    return all_below(larger, limit)


def test_the_larger_magnitude_is_lost_neither_to_sign_nor_to_nan():
    x = np.array([1, -3, np.nan, 0, 2, -np.inf, *[0] * 10], np.float32)
    y = np.array([-2, 1, np.inf, np.nan, -2, 5, *[0.5] * 10], np.float32)
    larger = np.empty((1, LANES), np.float32)
    for first, second in ((x, y), (y, x)):
        assert not _compare(first, second, larger, 4.0)
        np.testing.assert_array_equal(larger[0], [2, 3, np.nan, np.nan, 2, np.inf, *[0.5] * 10])


@pytest.mark.parametrize(("value", "expected"), [(3.9, True), (4.0, False), (np.nan, False), (np.inf, False)])
def test_one_lane_decides_whether_all_are_below(value, expected):
    x = np.zeros(LANES, np.float32)
    x[11] = -value
    assert _compare(x, np.zeros_like(x), np.empty((1, LANES), np.float32), 4.0) == expected


@numba.njit
def _through_address(address):
    store(address, 32, load(address, 0) + spread(address, 16))
    set_number(address, 48, number(address, 17))


def test_an_address_stands_for_the_numbers_there():
    numbers = np.arange(49, dtype=np.float32)
    _through_address(numbers.ctypes.data)
    np.testing.assert_array_equal(numbers[32:48], np.arange(16) + 16)
    assert numbers[48] == 17
