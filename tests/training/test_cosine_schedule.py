import math

import pytest
import torch

from nnunet_mamba.training.cosine_schedule import CosineSchedule


def _optimizer() -> torch.optim.Optimizer:
    first, second = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    return torch.optim.AdamW([{"params": [first]}, {"params": [second]}], lr=1.0)


def test_is_one_half_cosine_from_the_initial_to_the_final_rate():
    optimizer = _optimizer()
    schedule = CosineSchedule(optimizer, 1e-3, 1e-5, num_epochs=200)
    expected = {0: 1e-3, 100: (1e-3 + 1e-5) / 2, 200: 1e-5, 50: 1e-5 + 9.9e-4 * (1 + math.cos(math.pi / 4)) / 2}
    for epoch, rate in expected.items():
        schedule.step(epoch)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([rate, rate])
        assert schedule.get_last_lr() == pytest.approx([rate, rate])


def test_never_rises():
    optimizer = _optimizer()
    schedule = CosineSchedule(optimizer, 1e-3, 1e-5, num_epochs=20)
    rates = []
    for epoch in range(25):
        schedule.step(epoch)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(1e-5)


def test_depends_on_the_epoch_alone_so_that_a_resumed_run_continues():
    straight, resumed = _optimizer(), _optimizer()
    schedule = CosineSchedule(straight, 1e-3, 1e-5, num_epochs=10)
    for epoch in range(8):
        schedule.step(epoch)
    CosineSchedule(resumed, 1e-3, 1e-5, num_epochs=10).step(7)
    assert resumed.param_groups[0]["lr"] == straight.param_groups[0]["lr"]


def test_counts_epochs_itself_when_none_is_given():
    optimizer = _optimizer()
    schedule = CosineSchedule(optimizer, 1.0, 0.0, num_epochs=4)
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx((1 + math.cos(math.pi / 4)) / 2)


def test_goes_down_and_up_as_often_as_it_has_half_waves():
    optimizer = _optimizer()
    schedule = CosineSchedule(optimizer, 1.0, 0.0, num_epochs=8, half_waves=4)
    rates = []
    for epoch in range(9):
        schedule.step(epoch)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1, 0.5, 0, 0.5, 1, 0.5, 0, 0.5, 1])


def test_is_constant_without_half_waves():
    optimizer = _optimizer()
    schedule = CosineSchedule(optimizer, 3e-4, 1e-5, num_epochs=10, half_waves=0)
    for epoch in (0, 3, 10):
        schedule.step(epoch)
        assert [group["lr"] for group in optimizer.param_groups] == [3e-4, 3e-4]
