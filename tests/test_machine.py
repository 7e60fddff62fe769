import os

import pytest

from nnunet_mamba import machine


@pytest.fixture(autouse=True)
def system(monkeypatch, tmp_path):
    """Stand-ins for /proc and the container's limits, empty at first."""
    for name in ("PROC", "CGROUP"):
        monkeypatch.setattr(machine, name, tmp_path)
    return tmp_path


def test_cores_are_those_that_the_user_the_system_and_the_container_allow(monkeypatch, system):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert machine.available_cores() == 16
    (system / "cpu.max").write_text("max 100000\n")
    assert machine.available_cores() == 16
    (system / "cpu.max").write_text("450000 100000\n")
    assert machine.available_cores() == 4
    assert machine.cpu_quota() == 4.5
    (system / "cpu.max").write_text("50000 100000\n")
    assert machine.available_cores() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert machine.available_cores() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert machine.available_cores() == 1


def test_memory_is_that_of_the_container_where_it_has_less(system):
    (system / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    assert machine.available_memory() == 8000 * 1024
    for name, text in {
        "memory.max": "3000000",
        "memory.current": "2500000",
        "memory.stat": "inactive_file 100",
    }.items():
        (system / name).write_text(text)
    assert machine.available_memory() == 500_100
    (system / "memory.max").write_text("max")
    assert machine.available_memory() == 8000 * 1024


@pytest.mark.parametrize("text", [None, "MemTotal: 1 kB\n", "MemAvailable:\n"])
def test_memory_is_unknown_where_the_system_does_not_tell(system, text):
    if text is not None:
        (system / "meminfo").write_text(text)
    assert machine.available_memory() is None


def test_names_the_processor(system):
    assert machine.processor()
    (system / "cpuinfo").write_text("flags\t: sse\nmodel name\t: Fast One\n")
    assert machine.processor() == "Fast One"
