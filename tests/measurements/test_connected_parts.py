import numpy as np
import pytest

from nnunet_mamba.measurements.connected_parts import box_of, find_parts


@pytest.mark.parametrize("n_axes", [2, 3])
def test_what_touches_at_a_corner_is_one_part(n_axes):
    mask = np.zeros((6,) * n_axes, bool)
    for index in (0, 1, 2, 5):
        mask[(index,) * n_axes] = True
    parts = find_parts(mask)
    assert len(parts) == 2
    assert [parts.mask(index).shape for index in range(2)] == [(3,) * n_axes, (1,) * n_axes]


def test_a_part_is_alone_in_its_mask():
    mask = np.array([[1, 1, 1], [1, 0, 0], [1, 0, 1]], bool)
    parts = find_parts(mask)
    assert [parts.mask(index).tolist() for index in range(2)] == [
        [[True, True, True], [True, False, False], [True, False, False]],
        [[True]],
    ]


def test_nothing_has_no_parts_and_no_box():
    mask = np.zeros((4, 5), bool)
    assert len(find_parts(mask)) == 0
    assert box_of(mask) is None


@pytest.mark.parametrize("shape", [(7, 9), (1, 9), (7, 1), (1, 1), (4, 5, 6), (1, 5, 1)])
def test_the_box_holds_all_and_no_more(shape):
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random(shape) < 0.1
        box = box_of(mask)
        assert (box is None) == (not mask.any())
        if box is not None:
            places = np.argwhere(mask)
            assert [side.start for side in box] == places.min(axis=0).tolist()
            assert [side.stop - 1 for side in box] == places.max(axis=0).tolist()
