import pytest
import torch
from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window

from nnunet_mamba.prediction.importance import importance, window_starts, windows_over


@pytest.mark.parametrize(
    "window", [(256, 256), (1, 1), (7, 300), (64, 63), (224, 256), (512, 512), (16, 24, 9)], ids=str
)
def test_pixels_count_as_in_nnunet_to_the_last_bit(window):
    expected = compute_gaussian(window, sigma_scale=1.0 / 8, value_scaling_factor=10, device=torch.device("cpu"))
    assert torch.equal(torch.from_numpy(importance(window)), expected)


@pytest.mark.parametrize("window", [16, 17, 255])
@pytest.mark.parametrize("extra", [0, 1, 7, 8, 9, 100, 1000])
def test_windows_begin_where_nnunets_do(window, extra):
    expected = compute_steps_for_sliding_window((window + extra,), (window,), 0.5)[0]
    assert window_starts(window + extra, window) == expected


def test_windows_are_in_nnunets_order_and_cover_all():
    windows = windows_over((20, 33), (16, 24))
    assert [(rows.start, columns.start) for rows, columns in windows] == [(0, 0), (0, 9), (4, 0), (4, 9)]
    covered = torch.zeros(20, 33)
    for window in windows:
        covered[window] += 1
    assert covered.min() >= 1
