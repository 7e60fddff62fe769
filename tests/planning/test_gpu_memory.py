import subprocess
from types import SimpleNamespace

import pytest
import torch

from nnunet_mamba.planning import gpu_memory as asked_process
from nnunet_mamba.planning.gpu_memory import GpuMemory, gpu_memory


def test_what_the_process_prints_is_what_is_returned(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 24))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(name="Pretended"))
    asked_process._main()
    printed = f"noise of a library\n{capsys.readouterr().out}"
    commands = []

    def run(command, **_):
        commands.append(command)
        return SimpleNamespace(returncode=0, stdout=printed, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    assert gpu_memory() == GpuMemory(name="Pretended", total=24, free=5)
    # Not in this process, whose context would stay.
    assert commands[0][1:] == ["-m", "nnunet_mamba.planning.gpu_memory"]


def test_a_gpu_that_does_not_answer_is_told_with_its_words(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ValueError, match=r"^`device` cuda: the GPU cannot be asked for its memory: \w*Error: .*cpu"):
        gpu_memory()
