import numpy as np
import pytest

from nnunet_mamba.data.converters.synapse_organs import OrganNumbers, count_values, implausible_sizes, whole_numbers
from nnunet_mamba.data.formats.nifti_files import VolumeError

NUMBERS = OrganNumbers(("aorta", "liver"), {"liver": 6, "stomach": 7, "aorta": 8})


def test_labels_are_consecutive_in_the_order_of_the_kept_organs():
    assert NUMBERS.labels == {"background": 0, "aorta": 1, "liver": 2}
    assert NUMBERS.source_labels == {"background": 0, "aorta": 8, "liver": 6}


def test_renumbers_value_by_value_and_drops_other_organs():
    label = np.array([[0, 6, 7], [8, 8, 6]])
    found = NUMBERS.renumbered(label)
    assert found.tolist() == [[0, 2, 0], [1, 1, 2]]
    assert found.dtype == np.uint8
    assert NUMBERS.voxels(count_values(label)) == {"aorta": 2, "liver": 2}


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ([0, 6, 9, 9, -1], r"label values -1 \(1 voxels\), 9 \(2 voxels\), expected 0 to 8"),
        (list(range(0, 30)), r"5 \(1 voxels\), 9 .* and 16 more"),
        ([0, 7, 7], "none of the 2 organs"),
        ([0, 0], "none of the 2 organs"),
    ],
)
def test_tells_what_is_wrong(label, message):
    (found,) = NUMBERS.problems(count_values(np.array(label)))
    with pytest.raises(ValueError, match=message):
        raise ValueError(found)


def test_counts_every_value():
    label = np.random.default_rng(0).integers(-2, 14, (5, 6, 7))
    assert count_values(label) == {value: int((label == value).sum()) for value in range(-2, 14)}


def test_finds_nothing_wrong_with_known_values():
    assert list(NUMBERS.problems(count_values(np.array([0, 6, 7, 8])))) == []


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_whole_numbers_of_any_type_are_integers(dtype):
    assert whole_numbers(np.array([0, 13], dtype)).tolist() == [0, 13]


@pytest.mark.parametrize("value", [0.5, 12.999, np.nan, np.inf, 1e30])
def test_refuses_values_that_are_no_whole_numbers(value):
    with pytest.raises(VolumeError, match=r"1 label values such as .* are no whole numbers"):
        whole_numbers(np.array([0, 1, value]))


# Typical volumes in ml.
ADULT = {
    "aorta": 90,
    "gallbladder": 25,
    "left_kidney": 160,
    "right_kidney": 150,
    "liver": 1500,
    "pancreas": 80,
    "spleen": 220,
    "stomach": 350,
}


def test_sizes_of_an_adult_are_plausible():
    assert implausible_sizes([ADULT]) == []


def test_one_unusual_case_among_others_is_plausible():
    assert implausible_sizes([ADULT, ADULT, {**ADULT, "gallbladder": 200, "stomach": 60}]) == []


def test_both_confusions_of_transunets_numberings_are_noticed_though_the_liver_has_the_same_number_in_both():
    alphabetical = list(ADULT)
    by_btcv = ["spleen", "right_kidney", "left_kidney", "gallbladder", "liver", "stomach", "aorta", "pancreas"]
    assert alphabetical.index("liver") == by_btcv.index("liver")
    for is_, taken_for in ((alphabetical, by_btcv), (by_btcv, alphabetical)):
        mistaken = {wrong: ADULT[right] for right, wrong in zip(is_, taken_for, strict=True)}
        assert implausible_sizes([mistaken]) == [
            "gallbladder larger than right kidney",
            "pancreas larger than stomach",
            "aorta larger than spleen",
        ]


def test_a_small_liver_is_noticed():
    assert implausible_sizes([{**ADULT, "liver": 90}]) == ["stomach larger than liver"]


def test_nothing_is_said_of_organs_that_are_not_there():
    assert implausible_sizes([]) == []
    assert implausible_sizes([{}, {"liver": 3}]) == []


def test_values_that_miss_a_whole_number_by_a_little_are_that_number():
    assert whole_numbers(np.array([0, 1 + 2e-10, 12.9995])).tolist() == [0, 1, 13]


def test_nan_is_no_interpolation():
    with pytest.raises(VolumeError, match="NaN and infinity are no labels"):
        whole_numbers(np.array([0, np.nan]))
