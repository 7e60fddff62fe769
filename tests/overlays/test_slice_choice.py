import numpy as np

from nnunet_mamba.overlays.slice_choice import choose_slices


def test_each_label_shows_its_largest_slice():
    areas = np.zeros((3, 40), np.int64)
    areas[0, 5:30], areas[0, 17] = 50, 80
    areas[1, 33:36] = (1, 3, 2)
    areas[2, 2] = 7
    chosen = choose_slices(areas)
    assert {17, 34, 2} <= set(chosen)
    assert len(chosen) in (8, 9)
    assert chosen == sorted(set(chosen))


def test_one_label_is_shown_over_all_its_length():
    areas = np.zeros((1, 100), np.int64)
    areas[0, 20:80] = 100
    chosen = choose_slices(areas)
    assert len(chosen) >= 8
    assert min(chosen) < 30
    assert max(chosen) > 70
    assert max(np.diff(chosen)) <= 10


def test_few_slices_with_a_label_are_all_shown_and_no_others():
    areas = np.zeros((2, 50), np.int64)
    areas[0, [3, 4, 45]] = (5, 9, 1)
    areas[1, 20] = 1
    assert choose_slices(areas) == [3, 4, 20, 45]


def test_of_many_labels_the_largest_are_shown():
    areas = np.diag(np.arange(1, 14))
    assert choose_slices(areas) == list(range(4, 13))


def test_without_any_label_the_middle_is_shown():
    assert choose_slices(np.zeros((2, 21), np.int64)) == [10]
    assert choose_slices(np.zeros((0, 1), np.int64)) == [0]
