from types import SimpleNamespace

import pytest
import torch

from nnunet_mamba.crossval.gpu_use import GpuUse, read_gpu_use, write_gpu_use


@pytest.fixture
def gpu(monkeypatch):
    """torch.cuda of a process that has begun to use a GPU of 24 bytes; ``asked`` counts what would begin to."""
    gpu = SimpleNamespace(peak=9, asked=0)

    def mem_get_info():
        gpu.asked += 1
        return 14, 24

    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: gpu.peak)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 7)
    monkeypatch.setattr(torch.cuda, "mem_get_info", mem_get_info)
    return gpu


def test_what_is_said_is_read(gpu, tmp_path):
    write_gpu_use(tmp_path / "use.json")
    assert read_gpu_use(tmp_path / "use.json") == GpuUse(reserved=7, peak=9, free=14, total=24)


def test_a_process_that_does_not_use_the_gpu_yet_says_nothing_and_does_not_begin(gpu, tmp_path):
    gpu.peak = 0
    write_gpu_use(tmp_path / "use.json")
    assert read_gpu_use(tmp_path / "use.json") is None
    assert gpu.asked == 0


def test_torch_counts_nothing_before_it_uses_a_gpu():
    assert torch.cuda.is_initialized() or torch.cuda.max_memory_reserved() == 0


def test_a_gpu_or_a_folder_that_is_gone_ends_nothing(gpu, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    write_gpu_use(tmp_path / "file" / "use.json")

    def fail():
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "mem_get_info", fail)
    write_gpu_use(tmp_path / "use.json")
    assert read_gpu_use(tmp_path / "use.json") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"reserved": 1}'])
def test_a_file_that_says_nothing_is_no_answer(tmp_path, content):
    (tmp_path / "use.json").write_text(content)
    assert read_gpu_use(tmp_path / "use.json") is None
