import numpy as np
import pytest

from nnunet_mamba.overlays.grey_levels import SOFT_TISSUE, find_window, grey_levels


def test_a_window_spreads_over_all_levels_and_clips_the_rest():
    levels = grey_levels(np.array([[-1000, -160, -60, 240, 3000]], np.int16), SOFT_TISSUE)
    assert levels.tolist() == [[0, 0, 64, 255, 255]]


def test_eight_bits_are_shown_as_they_are():
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(grey_levels(picture, find_window(picture)), picture)


def test_a_few_bright_voxels_do_not_darken_the_others():
    volume = np.random.default_rng(0).normal(100, 10, (20, 30, 30))
    volume[0, 0, :5] = 1e6
    low, high = find_window(volume)
    assert 60 < low < 90
    assert 110 < high < 140


def test_what_is_no_number_is_black_and_does_not_count():
    picture = np.array([[np.nan, 1.0], [2.0, np.inf]])
    window = find_window(picture)
    assert np.isfinite(window).all()
    assert grey_levels(picture, window)[0, 0] == 0


@pytest.mark.parametrize("picture", [np.full((4, 4), 7.0), np.full((4, 4), np.nan), np.full((4, 4), -3, np.int16)])
def test_a_picture_without_contrast_is_black(picture):
    assert grey_levels(picture, find_window(picture)).max() == 0


def test_one_bright_spot_in_the_dark_is_seen():
    picture = np.zeros((100, 100), np.float32)
    picture[50, 50] = 3.0
    assert grey_levels(picture, find_window(picture))[50, 50] == 255
