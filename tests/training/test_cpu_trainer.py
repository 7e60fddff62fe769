import os
from pathlib import Path

import pytest
import torch
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

from nnunet_mamba.system.worker_counts import AUGMENTING_VARIABLE, EXPORTING_VARIABLE, fitting_worker_counts
from nnunet_mamba.training import cpu_trainer
from nnunet_mamba.training.guarded_trainer import GuardedTrainer

NAME = "nnUNetTrainerUltraLightVM_1epoch_2iterations"


@pytest.fixture
def trainer(build_trainer, monkeypatch):
    """A trainer on a machine with eight cores, whose user has set nothing."""
    for variable in (AUGMENTING_VARIABLE, EXPORTING_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(cpu_trainer, "available_cores", lambda: 8)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    return build_trainer(NAME)


@pytest.fixture
def settled(monkeypatch):
    """What was done to the process, in order."""
    done = []
    monkeypatch.setattr(cpu_trainer, "keep_freed_memory", lambda: done.append("memory"))
    monkeypatch.setattr(cpu_trainer, "let_waiting_threads_sleep", lambda: done.append("threads"))
    return done


def started(trainer, monkeypatch, settled):
    """Start a training without data; return nnU-Net's number of augmenting processes, and the log's last line."""
    seen = []

    def start(self):
        seen.append(get_allowed_n_proc_DA())
        settled.append("loaders")

    monkeypatch.setattr(GuardedTrainer, "on_train_start", start)
    cpu_trainer.CpuTrainer.on_train_start(trainer)
    return seen[0], Path(trainer.log_file).read_text().splitlines()[-1]


def test_as_many_processes_augment_as_the_cores_can_feed(trainer, monkeypatch, settled):
    fitting = fitting_worker_counts(8, on_gpu=False)
    n_augmenting, line = started(trainer, monkeypatch, settled)
    assert n_augmenting == fitting.augmenting == 4
    assert f"{torch.get_num_threads()} threads, augmenting processes: 4, exporting ones" in line
    assert AUGMENTING_VARIABLE not in os.environ


def test_the_users_own_number_of_augmenting_processes_stays(trainer, monkeypatch, settled):
    monkeypatch.setenv(AUGMENTING_VARIABLE, "3")
    n_augmenting, line = started(trainer, monkeypatch, settled)
    assert n_augmenting == 3
    assert "augmenting processes: 3," in line
    assert os.environ[AUGMENTING_VARIABLE] == "3"


def test_the_process_is_settled_after_the_loaders_have_been_forked(trainer, monkeypatch, settled):
    started(trainer, monkeypatch, settled)
    assert settled == ["loaders", "memory", "threads"]


@pytest.mark.parametrize(("variable", "expected"), [(None, 4), ("5", 8)], ids=["unset", "set"])
def test_as_many_processes_export_as_the_cores_can_feed(trainer, monkeypatch, settled, variable, expected):
    monkeypatch.setattr(nnUNetTrainer, "default_num_processes", 8)
    if variable:
        # nnU-Net read the variable when it was imported.
        monkeypatch.setenv(EXPORTING_VARIABLE, variable)
    seen = []
    monkeypatch.setattr(
        GuardedTrainer,
        "perform_actual_validation",
        lambda self, save_probabilities: seen.append((nnUNetTrainer.default_num_processes, save_probabilities)),
    )
    trainer.perform_actual_validation(True)
    assert seen == [(expected, True)]
    assert nnUNetTrainer.default_num_processes == 8
    assert settled == ["memory", "threads"]


def test_a_training_on_another_device_is_left_alone(trainer, monkeypatch, settled):
    # What the constructor finds on a machine with CUDA.
    trainer.device, trainer._workers_that_fit = torch.device("meta"), None
    n_augmenting, line = started(trainer, monkeypatch, settled)
    assert n_augmenting == 12
    assert settled == ["loaders"]
    assert "On this CPU" not in line
