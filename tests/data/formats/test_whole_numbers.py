import numpy as np
import pytest

from nnunet_mamba.data.formats.whole_numbers import near_whole_numbers, shown_number, undefined_text


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_that_miss_a_whole_number_by_a_little_are_taken_as_it(dtype):
    values = np.array([0, 1, 1.0005, 1.9999, -3.0004, 13], dtype)
    found, n_missed = near_whole_numbers(values)
    assert found.tolist() == [0, 1, 1, 2, -3, 13]
    assert found.dtype == dtype
    assert n_missed == 3


def test_the_smallest_difference_of_its_type_counts():
    found, n_missed = near_whole_numbers(np.array([np.nextafter(1, 2), 2 + 2e-10]))
    assert found.tolist() == [1, 2]
    assert n_missed == 2


def test_what_lies_between_is_left_alone():
    values = np.array([0.5, 12.999, 1.002, np.nan, np.inf])
    found, n_missed = near_whole_numbers(values)
    assert np.array_equal(found, values, equal_nan=True)
    assert n_missed == 0


def test_integers_are_the_same_array():
    values = np.array([0, 7], np.int16)
    assert near_whole_numbers(values)[0] is values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float64(1.0), "1"),
        (np.float64(1.0011), "1.0011"),
        (np.float64(1) + 2e-10, "1.0000000002"),
        (np.float32(1.002), "1.002"),
        (np.uint8(7), "7"),
        (np.float64("nan"), "nan"),
        (np.float64(1234567.5), "1234567.5"),
    ],
)
def test_numbers_are_shown_with_the_digits_that_tell_them_apart(value, text):
    assert shown_number(value) == text


def test_nan_and_infinity_are_told_apart():
    assert undefined_text(np.array([1, 2])) == ""
    assert undefined_text(np.array([1.5, 2])) == ""
    assert undefined_text(np.array([np.nan, np.nan, 1])).startswith("2 voxels of the mask are NaN, expected numbers")
    text = undefined_text(np.array([np.nan, -np.inf]), "pixels")
    assert text.startswith("1 pixels of the mask are NaN and 1 pixels of the mask are infinite")
