import multiprocessing
import signal
import sys

import pytest
import torch
from nnunetv2.run import run_training

from nnunet_mamba.crossval import training_process
from nnunet_mamba.crossval.training_process import _asked_device


@pytest.mark.parametrize(
    ("arguments", "device"),
    [
        (["901", "2d", "0"], None),
        (["901", "-device", "cpu", "--c"], "cpu"),
        (["-device", "cpu", "-device", "cuda"], "cuda"),
    ],
)
def test_the_device_that_is_asked_for(arguments, device):
    assert _asked_device(["program", *arguments]) == device


class ImmediateThread:
    """Does at its start what a thread would do beside the program."""

    def __init__(self, *, target, args, daemon):
        assert daemon, "a thread that is no daemon lets no process end"
        self.start = lambda: target(*args)


@pytest.fixture
def train(monkeypatch):
    """The program in this process, with three cores, no CUDA, and a note in place of nnU-Net's training."""
    begun = []
    monkeypatch.setattr(training_process.threading, "Thread", ImmediateThread)
    monkeypatch.setattr(run_training, "run_training_entry", lambda: begun.append(multiprocessing.cpu_count()))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(training_process, "_end_with", lambda parent: begun.append(parent))
    monkeypatch.setattr(multiprocessing, "cpu_count", multiprocessing.cpu_count)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("NNUNET_MAMBA_CROSSVAL_PARENT", "77")
    handler = signal.getsignal(signal.SIGUSR2)

    def train(*arguments):
        monkeypatch.setattr(sys, "argv", ["nnUNetv2_train", "901", "2d", "0", *arguments])
        training_process._main()

    train.begun = begun
    yield train
    signal.signal(signal.SIGUSR2, handler)


def test_a_training_ends_with_its_parent_and_has_its_share_of_the_cores(train):
    train("-device", "cpu")
    assert train.begun == [77, 3]
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN


def test_a_training_that_was_told_to_use_cuda_does_not_begin_on_a_cpu(train):
    with pytest.raises(SystemExit, match=r"^-device cuda: torch finds no CUDA device on this machine"):
        train("-device", "cuda")
    assert train.begun == [77]


def test_a_training_that_is_asked_says_again_and_again_what_it_takes_of_its_gpu(train, monkeypatch, tmp_path):
    written = []

    class EnoughError(Exception):
        pass

    def write(file):
        written.append(file)
        if len(written) == 3:
            raise EnoughError

    monkeypatch.setattr(training_process, "write_gpu_use", write)
    monkeypatch.setattr(training_process.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("NNUNET_MAMBA_CROSSVAL_GPU_USE", str(tmp_path / "use.json"))
    with pytest.raises(EnoughError):
        train()
    assert written == [tmp_path / "use.json"] * 3
    monkeypatch.delenv("NNUNET_MAMBA_CROSSVAL_GPU_USE")
    train()
    assert len(written) == 3
