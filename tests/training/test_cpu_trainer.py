import os
from pathlib import Path

import pytest
import torch
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

from nnunet_mamba.ops.cpu_kernels.thread_team import WAITING_VARIABLES
from nnunet_mamba.system.worker_counts import AUGMENTING_VARIABLE, EXPORTING_VARIABLE, fitting_worker_counts
from nnunet_mamba.training import cpu_trainer
from nnunet_mamba.training.guarded_trainer import GuardedTrainer

NAME = "nnUNetTrainerUltraLightVM_1epoch_2iterations"


@pytest.fixture
def trainer(build_trainer, monkeypatch):
    """A trainer on a machine with eight cores, whose user has set nothing."""
    for variable in (AUGMENTING_VARIABLE, EXPORTING_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(cpu_trainer, "usable_cores", lambda: 8)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    return build_trainer(NAME)


@pytest.fixture
def settled(monkeypatch):
    """What was done to the process, in order."""
    done = []
    monkeypatch.setattr(cpu_trainer, "keep_freed_memory", lambda: done.append("memory") or True)
    monkeypatch.setattr(cpu_trainer, "let_waiting_threads_sleep", lambda: done.append("threads") or True)
    monkeypatch.setattr(cpu_trainer, "give_back_freed_memory", lambda: done.append("given back"))
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
    text = (
        f"{torch.get_num_threads()} threads, which sleep while they wait, freed memory kept; processes that augment: 4"
    )
    assert text in line
    assert AUGMENTING_VARIABLE not in os.environ


def test_the_users_own_number_of_augmenting_processes_stays(trainer, monkeypatch, settled):
    monkeypatch.setenv(AUGMENTING_VARIABLE, "3")
    n_augmenting, line = started(trainer, monkeypatch, settled)
    assert n_augmenting == 3
    assert "processes that augment: 3 (" in line
    assert os.environ[AUGMENTING_VARIABLE] == "3"


def test_the_process_is_settled_after_the_loaders_have_been_forked(trainer, monkeypatch, settled):
    started(trainer, monkeypatch, settled)
    assert settled == ["loaders", "threads", "memory"]


def test_the_log_tells_what_could_not_be_done(trainer, monkeypatch, settled):
    for name in ("keep_freed_memory", "let_waiting_threads_sleep"):
        monkeypatch.setattr(cpu_trainer, name, lambda: False)
    _, line = started(trainer, monkeypatch, settled)
    assert f"{torch.get_num_threads()} threads; processes" in line


def test_more_processes_than_nnunet_starts_are_not_told(trainer, monkeypatch, settled):
    monkeypatch.setenv(AUGMENTING_VARIABLE, "100")
    n_augmenting, line = started(trainer, monkeypatch, settled)
    assert n_augmenting == 64
    assert "processes that augment: 64 (" in line


def test_a_start_that_fails_leaves_no_variable(trainer, monkeypatch):
    def fail(self):
        assert os.environ[AUGMENTING_VARIABLE] == "4"
        raise RuntimeError("no data")

    monkeypatch.setattr(GuardedTrainer, "on_train_start", fail)
    with pytest.raises(RuntimeError, match="no data"):
        cpu_trainer.CpuTrainer.on_train_start(trainer)
    assert AUGMENTING_VARIABLE not in os.environ


@pytest.fixture
def validated(trainer, monkeypatch):
    """Return a function that validates without data, and returns what the processes would see that nnU-Net starts."""
    monkeypatch.setattr(nnUNetTrainer, "default_num_processes", 8)
    names = (EXPORTING_VARIABLE, *WAITING_VARIABLES)

    def validate(error=None):
        seen = {}

        def perform(self, save_probabilities):
            seen.update({"processes": nnUNetTrainer.default_num_processes, "saved": save_probabilities})
            seen.update({name: os.environ[name] for name in names if name in os.environ})
            if error:
                raise error

        monkeypatch.setattr(GuardedTrainer, "perform_actual_validation", perform)
        trainer.perform_actual_validation(True)
        return seen

    return validate


def test_as_many_processes_export_as_the_cores_can_feed_and_their_threads_sleep(validated, monkeypatch, settled):
    for variable in WAITING_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    assert validated() == {"processes": 4, "saved": True, EXPORTING_VARIABLE: "4", "OMP_WAIT_POLICY": "passive"}
    assert nnUNetTrainer.default_num_processes == 8
    assert not {EXPORTING_VARIABLE, *WAITING_VARIABLES} & set(os.environ)
    assert settled == ["given back", "threads"]


def test_the_users_own_number_of_exporting_processes_and_way_of_waiting_stay(validated, monkeypatch, settled):
    # nnU-Net read the variable when it was imported.
    monkeypatch.setenv(EXPORTING_VARIABLE, "8")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    assert validated() == {"processes": 8, "saved": True, EXPORTING_VARIABLE: "8", "GOMP_SPINCOUNT": "1000"}
    assert os.environ[EXPORTING_VARIABLE] == "8"


def test_a_validation_that_fails_leaves_nothing_behind(validated, settled):
    with pytest.raises(RuntimeError, match="no data"):
        validated(RuntimeError("no data"))
    assert nnUNetTrainer.default_num_processes == 8
    assert EXPORTING_VARIABLE not in os.environ


def test_a_training_on_another_device_is_left_alone(trainer, monkeypatch, settled):
    # What the constructor finds on a machine with CUDA.
    trainer.device, trainer._workers_that_fit = torch.device("meta"), None
    n_augmenting, line = started(trainer, monkeypatch, settled)
    assert n_augmenting == 12
    assert settled == ["loaders"]
    assert "On this CPU" not in line


@pytest.fixture
def validation_step(build_trainer, monkeypatch):
    """Return a function that validates twice, the second time as nnU-Net does.

    It returns the results, the two logits, and the network.
    """

    def step(name):
        trainer = build_trainer(name)
        trainer.initialize()
        trainer.network.eval()
        seen, loss = [], trainer.loss
        monkeypatch.setattr(trainer, "loss", lambda output, target: seen.append(output) or loss(output, target))
        torch.manual_seed(0)
        data = torch.randn(2, 3, 64, 96)
        with torch.no_grad():
            logits = trainer.network(data)
            deep = isinstance(logits, list)
            labels = [(torch.rand(2, 1, *x.shape[2:]) > 0.5).float() for x in (logits if deep else [logits])]
            batch = {"data": data, "target": labels if deep else labels[0]}
            outputs = trainer.validation_step(batch)
            expected = GuardedTrainer.validation_step(trainer, batch)
        return outputs, expected, seen, trainer.network

    return step


@pytest.mark.parametrize("name", [NAME, "nnUNetTrainerUltraLightVM_deep_1epoch_1iteration"])
def test_the_classes_of_logits_lie_side_by_side_for_validation_alone(validation_step, name):
    outputs, expected, seen, network = validation_step(name)
    (fast, plain) = (x if isinstance(x, torch.Tensor) else x[0] for x in seen)
    assert fast.movedim(1, -1).is_contiguous()
    assert plain.is_contiguous()
    assert torch.equal(fast, plain)
    assert outputs["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    for count in ("tp_hard", "fp_hard", "fn_hard"):
        assert (outputs[count] == expected[count]).all()
    assert not network._forward_hooks
