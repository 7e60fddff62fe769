import inspect
import resource
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from nnunet_mamba.planning import process_memory
from nnunet_mamba.planning.memory import GIB, Budget
from nnunet_mamba.planning.process_memory import (
    STOPPED_AT,
    peak_memory,
    process_status,
    reset_peak,
    taken_by_others,
    unmapped_libraries,
)

CPU = Budget(device="cpu", size=2**40)


@pytest.fixture
def limits(monkeypatch):
    """The limit of a process that was given at most ``limits.most``; nothing limits this one."""
    limits = type("Limits", (), {"most": resource.RLIM_INFINITY, "set": None})

    def set_limit(_, values):
        limits.set = values

    monkeypatch.setattr(resource, "getrlimit", lambda _: (0, limits.most))
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    return limits


@pytest.mark.skipif(process_status("VmData") is None, reason="the system has no /proc")
def test_allocations_may_take_half_as_much_again_as_the_budget(limits):
    reset_peak(CPU)
    soft, hard = limits.set
    assert hard == resource.RLIM_INFINITY
    assert STOPPED_AT * CPU.size < soft + peak_memory(CPU) < 2 * STOPPED_AT * CPU.size


@pytest.mark.skipif(process_status("VmData") is None, reason="the system has no /proc")
@pytest.mark.parametrize("most", [2**30, 2**50])
def test_a_limit_that_nobody_may_lift_is_kept(limits, most):
    limits.most = most
    reset_peak(CPU)
    soft, hard = limits.set
    assert hard == most
    assert soft == most if most < 2**40 else 2**40 < soft < 2**41


@pytest.mark.skipif(process_status("VmData") is None, reason="the system has no /proc")
def test_the_system_takes_the_limit():
    """In a process of its own, which cannot lift it again either."""
    code = f"""
import resource
from nnunet_mamba.planning.memory import Budget
from nnunet_mamba.planning.process_memory import reset_peak
resource.setrlimit(resource.RLIMIT_DATA, ({2**50}, {2**50}))
reset_peak(Budget(device="cpu", size={2**40}))
print(*resource.getrlimit(resource.RLIMIT_DATA))
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    soft, hard = map(int, process.stdout.split())
    assert hard == 2**50
    assert 2**40 < soft < 2**41


@pytest.mark.skipif(process_status("VmHWM") is None, reason="the system has no /proc")
def test_the_peak_is_of_what_came_after_the_reset():
    """In a process of its own: this one may have that much memory that is free and resident."""
    code = f"""
import numpy as np
from nnunet_mamba.planning.memory import Budget
from nnunet_mamba.planning.process_memory import peak_memory, reset_peak
cpu = Budget(device="cpu", size={2**40})
reset_peak(cpu)
before = peak_memory(cpu)
# Written to, so that the pages exist; large, so that they are given back at once.
np.ones({2**26}, dtype=np.uint8)
print(peak_memory(cpu) - before)
reset_peak(cpu)
print(peak_memory(cpu) - before)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    with_array, without = map(int, process.stdout.split())
    assert with_array > 2**25
    assert without < 2**25


@pytest.fixture
def gpu(monkeypatch):
    """torch.cuda of a GPU with 80 GiB; it keeps the fractions to which this process is limited."""
    gpu = SimpleNamespace(fractions=[], free=70 * GIB, reserved=5 * GIB)
    for name, function in {
        "get_device_properties": lambda device: SimpleNamespace(total_memory=80 * GIB),
        "set_per_process_memory_fraction": lambda fraction, device: gpu.fractions.append(fraction),
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda: None,
        "max_memory_reserved": lambda: gpu.reserved,
        "memory_reserved": lambda device: gpu.reserved,
        "mem_get_info": lambda device: (gpu.free, 80 * GIB),
    }.items():
        monkeypatch.setattr(torch.cuda, name, function)
    return gpu


def test_on_a_gpu_allocations_end_at_the_budget(gpu):
    reset_peak(Budget(device="cuda", size=11 * GIB))
    reset_peak(Budget(device="cuda", size=96 * GIB))
    assert gpu.fractions == [11 / 80, 1.0]
    assert peak_memory(Budget(device="cuda", size=11 * GIB)) == 5 * GIB


def test_what_others_take_of_a_gpu_meanwhile_is_told(gpu):
    assert taken_by_others(Budget(device="cuda", size=75 * GIB)) is None
    gpu.free = 14.5 * GIB
    found = taken_by_others(Budget(device="cuda", size=23 * GIB))
    assert found.startswith("other programs have taken memory of the GPU meanwhile: of the 23.0 GiB to plan for, 19.5")
    assert taken_by_others(CPU) is None


def test_without_proc_the_system_is_asked(monkeypatch):
    monkeypatch.setattr(process_memory, "process_status", lambda *_, **__: None)
    assert peak_memory(CPU) > 2**20
    assert unmapped_libraries() == 0


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("set_per_process_memory_fraction", (0.5, 0)),
        ("mem_get_info", (0,)),
        ("memory_reserved", (0,)),
        ("get_device_properties", (0,)),
        ("max_memory_reserved", ()),
        ("reset_peak_memory_stats", ()),
    ],
)
def test_torch_takes_what_the_pretended_gpu_is_asked(name, arguments):
    inspect.signature(getattr(torch.cuda, name)).bind(*arguments)
