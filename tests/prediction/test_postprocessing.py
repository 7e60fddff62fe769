import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes
from scipy.ndimage import label as connected_parts

from nnunet_mamba.models.description import FILL_HOLES, KEEP_LARGEST_PART
from nnunet_mamba.prediction.postprocessing import postprocess


def drawn(*rows, z=1):
    return np.repeat(np.array([[int(value) for value in row.replace(".", "0")] for row in rows], np.uint8)[None], z, 0)


def test_the_largest_part_of_each_label_stays_and_its_own_holes_are_filled():
    label = drawn("111..2", "1.1..2", "111...", "....22", "1...22")
    largest = postprocess(label, [KEEP_LARGEST_PART])
    np.testing.assert_array_equal(largest, drawn("111...", "1.1...", "111...", "....22", "....22"))
    both = postprocess(label, [KEEP_LARGEST_PART, FILL_HOLES])
    np.testing.assert_array_equal(both, drawn("111...", "111...", "111...", "....22", "....22"))
    # The label that was given stays as it was.
    assert label[0, 0, 5] == 2


def test_parts_that_touch_at_a_corner_are_two_and_of_equal_ones_the_first_stays():
    np.testing.assert_array_equal(postprocess(drawn("1.", ".1"), [KEEP_LARGEST_PART]), drawn("1.", ".."))


def test_a_hole_keeps_the_label_inside_of_it():
    label = drawn("11111", "1...1", "1.2.1", "1...1", "11111")
    filled = drawn("11111", "11111", "11211", "11111", "11111")
    np.testing.assert_array_equal(postprocess(label, [FILL_HOLES]), filled)


def test_what_touches_the_border_of_the_image_is_no_hole():
    label = drawn("1.1", "1.1", "111")
    np.testing.assert_array_equal(postprocess(label, [FILL_HOLES]), label)


def test_a_volume_has_parts_and_holes_in_three_dimensions():
    ring = drawn("...", "...", "...", z=3)
    ring[:] = 1
    ring[1, 1, 1] = 0
    assert postprocess(ring, [FILL_HOLES]).all()
    # Open above and below.
    ring[:, 1, 1] = 0
    np.testing.assert_array_equal(postprocess(ring, [FILL_HOLES]), ring)
    apart = np.zeros((3, 1, 4), np.uint8)
    apart[0, 0, :2] = apart[:, 0, 3] = 1
    kept = postprocess(apart, [KEEP_LARGEST_PART])
    assert (int(kept.sum()), bool(kept[:, 0, 3].all())) == (3, True)


@pytest.mark.parametrize("steps", [[], [KEEP_LARGEST_PART], [KEEP_LARGEST_PART, FILL_HOLES]])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_nothing_and_all_stay_as_they_are(steps, dtype):
    for value in (0, 3):
        label = np.full((1, 4, 5), value, dtype)
        found = postprocess(label, steps)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, label)


@pytest.mark.parametrize("shape", [(1, 40, 30), (9, 12, 10)])
def test_random_label_maps_become_what_scipy_makes_of_them(shape):
    rng = np.random.default_rng(0)
    for _ in range(20):
        label = (rng.random(shape) < rng.uniform(0.3, 0.8)).astype(np.uint8)
        filled = binary_fill_holes(label.squeeze()).reshape(shape)
        np.testing.assert_array_equal(postprocess(label, [FILL_HOLES]), filled)
        parts, _ = connected_parts(label.squeeze())
        largest = parts.reshape(shape) == 1 + np.argmax(np.bincount(parts.ravel())[1:])
        np.testing.assert_array_equal(postprocess(label, [KEEP_LARGEST_PART]), largest)
