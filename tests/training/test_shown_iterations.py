"""What a training shows of the iterations of an epoch."""

from functools import partial
from pathlib import Path

import pytest
import torch

from nnunet_mamba.system.progress import Pace
from nnunet_mamba.training import preset_trainer
from nnunet_mamba.training.guarded_trainer import GuardedTrainer

NAME = "nnUNetTrainerUltraLightVM"


class Clock:
    """Shows the time that a test sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def train_slowly(build_trainer, monkeypatch):
    """Go through epochs as nnU-Net does, with steps that take a made-up time and train nothing."""
    clock = Clock()
    monkeypatch.setattr(preset_trainer, "Pace", partial(Pace, clock))

    def step(_, batch):
        clock.now += batch
        return {}

    def nothing(*_):
        return None

    for name in ("on_train_start", "on_train_epoch_start", "on_train_epoch_end"):
        monkeypatch.setattr(GuardedTrainer, name, nothing)
    for name in ("on_validation_epoch_start", "on_validation_epoch_end"):
        monkeypatch.setattr(GuardedTrainer, name, nothing, raising=False)
    monkeypatch.setattr(GuardedTrainer, "train_step", step)
    monkeypatch.setattr(GuardedTrainer, "validation_step", step, raising=False)

    def train(*, n_epochs, seconds, rank=0):
        trainer = build_trainer(f"{NAME}_{n_epochs}epochs_10iterations")
        trainer.local_rank = rank
        trainer.network = torch.nn.Identity()
        trainer.on_train_start()
        for trainer.current_epoch in range(n_epochs):
            trainer.on_train_epoch_start()
            trainer.on_train_epoch_end([trainer.train_step(seconds) for _ in range(10)])
            trainer.on_validation_epoch_start()
            trainer.on_validation_epoch_end([trainer.validation_step(seconds) for _ in range(2)])
        return trainer

    return train


def test_short_epochs_have_no_lines_about_their_iterations(train_slowly, capsys):
    train_slowly(n_epochs=20, seconds=2)
    assert capsys.readouterr().err == ""


def test_long_epochs_have_a_line_now_and_then_that_the_log_file_has_not(train_slowly, capsys):
    trainer = train_slowly(n_epochs=2, seconds=100)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        "epoch 0: 1 of 10 iterations, 1 min 40 s",
        "epoch 0: 2 of 10 iterations, 3 min 20 s, about 13 min left",
    ]
    assert "epoch 0, validation: 1 of 2 iterations, 1 min 40 s" in lines
    assert lines[-1].startswith("epoch 1")
    assert len(lines) < 20
    assert "iterations" not in Path(trainer.log_file).read_text()


def test_one_process_of_several_shows_the_iterations(train_slowly, capsys):
    train_slowly(n_epochs=1, seconds=100, rank=1)
    assert capsys.readouterr().err == ""
