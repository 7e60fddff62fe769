import pytest

from nnunet_mamba.system.durations import duration, rough_duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.23, "1.2 s"), (59.4, "59 s"), (125, "2 min 05 s"), (7300, "2 h 01 min")]
)
def test_a_measured_time_is_told_to_the_second_or_minute(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3000, "50 min"), (11_100, "3 h 05 min")]
)
def test_an_estimated_time_is_told_roughly(seconds, text):
    assert rough_duration(seconds) == text
