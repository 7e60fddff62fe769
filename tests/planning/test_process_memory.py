import resource
import subprocess
import sys

import pytest

from nnunet_mamba.planning import process_memory
from nnunet_mamba.planning.memory import Budget
from nnunet_mamba.planning.process_memory import STOPPED_AT, peak_memory, process_status, reset_peak, unmapped_libraries

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


def test_without_proc_the_system_is_asked(monkeypatch):
    monkeypatch.setattr(process_memory, "process_status", lambda *_, **__: None)
    assert peak_memory(CPU) > 2**20
    assert unmapped_libraries() == 0
