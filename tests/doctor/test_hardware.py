import sys
from types import SimpleNamespace

import pytest
import torch

from nnunet_mamba.doctor import hardware
from nnunet_mamba.system import machine

GIB = 2**30


@pytest.fixture
def look(monkeypatch, tmp_path):
    """Findings by name on a machine of 4 cores and threads, without CUDA, containers' limits and variables."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(hardware, "available_cores", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(hardware, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(hardware.shutil, "disk_usage", lambda path: (8 * GIB, 0, 8 * GIB))
    monkeypatch.setattr(hardware.shutil, "which", lambda command: None)
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.delenv("nnUNet_n_proc_DA", raising=False)
    return lambda: {finding.name: finding for finding in hardware.hardware()}


def test_a_plain_machine_is_fine(look):
    found = look()
    assert {finding.level for finding in found.values()} == {"ok"}
    assert "4 of torch on 4 cores" in found["threads"].text
    assert "-device cpu" in found["CUDA"].text


@pytest.mark.parametrize(
    ("machine", "features", "expected"),
    [
        ("x86_64", {"avx2": True, "avx512f": True}, "AVX-512"),
        ("AMD64", {"avx2": True, "avx512f": False}, "AVX2"),
        ("x86_64", {"avx": True}, None),
        ("aarch64", {}, "NEON"),
        ("arm64", {}, "NEON"),
        ("riscv64", {}, None),
    ],
)
def test_vector_instructions(monkeypatch, machine, features, expected):
    monkeypatch.setattr(hardware.platform, "machine", lambda: machine)
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: features)
    assert hardware.vector_instructions() == expected


def test_vector_instructions_without_numba(monkeypatch):
    monkeypatch.setattr(hardware.platform, "machine", lambda: "x86_64")
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert hardware.vector_instructions() == "AVX-512"


def test_an_old_processor_is_a_hint(look, monkeypatch):
    monkeypatch.setattr(hardware, "vector_instructions", lambda: None)
    monkeypatch.setattr(hardware.platform, "machine", lambda: "x86_64")
    assert look()["processor"].level == "hint"


@pytest.mark.parametrize(
    ("limit", "level"), [("150000 100000", "hint"), ("400000 100000", "ok"), ("max 100000", "ok"), (None, "ok")]
)
def test_threads_beyond_a_containers_limit_are_a_hint(look, limit, level):
    if limit:
        (machine.CGROUP / "cpu.max").write_text(limit + "\n")
    finding = look()["threads"]
    assert finding.level == level
    assert finding.remedy == ("export OMP_NUM_THREADS=1" if level == "hint" else "")


def test_spinning_threads_are_a_hint_where_there_is_no_cuda(look, monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY")
    assert look()["OMP_WAIT_POLICY"].remedy == "export OMP_WAIT_POLICY=passive"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    device = SimpleNamespace(name="H100", total_memory=80 * GIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: device)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (79 * GIB, 80 * GIB))
    found = look()
    assert "OMP_WAIT_POLICY" not in found
    assert found["CUDA"].text.startswith("H100 (80 GiB, 79 GiB free)")
    assert found["CUDA"].level == "ok"


def test_a_gpu_that_others_hold_is_a_hint(look, monkeypatch):
    def memory(number):
        if number:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 30 * GIB, 80 * GIB

    device = SimpleNamespace(name="H100", total_memory=80 * GIB)
    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_device_properties": lambda number: device,
        "mem_get_info": memory,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    found = look()["CUDA"]
    assert found.text.startswith("H100 (80 GiB, 30 GiB free), H100 (80 GiB, no room on it), CUDA")
    assert (found.level, "nvidia-smi" in found.remedy) == ("hint", True)


def test_a_torch_without_cuda_beside_nvidias_driver_is_a_hint(look, monkeypatch):
    monkeypatch.setattr(hardware.shutil, "which", lambda command: f"/usr/bin/{command}")
    monkeypatch.setattr(torch.version, "cuda", None)
    assert look()["CUDA"].level == "hint"


@pytest.mark.parametrize(
    ("free", "workers", "level"),
    [
        (64 * 2**20, None, "problem"),
        (64 * 2**20, "0", "ok"),
        (GIB // 2, None, "hint"),
        (2 * GIB, None, "ok"),
    ],
)
def test_little_shared_memory(look, monkeypatch, free, workers, level):
    monkeypatch.setattr(hardware.shutil, "disk_usage", lambda path: (8 * GIB, 8 * GIB - free, free))
    if workers:
        monkeypatch.setenv("nnUNet_n_proc_DA", workers)
    finding = look()[str(hardware._SHARED_MEMORY)]
    assert finding.level == level
    assert bool(finding.remedy) == (level != "ok")


def test_the_way_out_of_little_shared_memory_lets_nnunet_plan_too(look, monkeypatch):
    monkeypatch.setattr(hardware.shutil, "disk_usage", lambda path: (8 * GIB, 8 * GIB, 64 * 2**20))
    assert "nnUNet_n_proc_DA=1" in look()[str(hardware._SHARED_MEMORY)].remedy


@pytest.mark.parametrize(
    ("variable", "value", "level"),
    [
        ("nnUNet_n_proc_DA", "4", None),
        ("nnUNet_n_proc_DA", "0", "hint"),
        ("nnUNet_n_proc_DA", "-1", "problem"),
        ("nnUNet_n_proc_DA", "", "problem"),
        ("nnUNet_n_proc_DA", "two", "problem"),
        ("nnUNet_n_proc_DA", "nan", "problem"),
        ("nnUNet_def_n_proc", "8", None),
        ("nnUNet_def_n_proc", "0", "problem"),
        ("nnUNet_def_n_proc", "1.5", "problem"),
    ],
)
def test_numbers_of_processes_that_nnunet_cannot_take(look, monkeypatch, variable, value, level):
    monkeypatch.delenv("nnUNet_def_n_proc", raising=False)
    monkeypatch.setenv(variable, value)
    finding = look().get(variable)
    assert (finding and finding.level) == level
    if level == "hint":
        assert finding.remedy == "export nnUNet_n_proc_DA=1 before nnUNetv2_plan_and_preprocess"


def test_systems_without_shared_memory_folders_have_no_such_line(look, monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "_SHARED_MEMORY", tmp_path / "none")
    assert not any("free" in finding.text for finding in look().values())
