import os

import pytest

from nnunet_mamba.system import machine


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
    assert machine.usable_cores() == 1
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


def write(folder, **texts):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_limits_of_the_groups_around_the_process_count(monkeypatch, system):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    write(system, meminfo="MemAvailable: 8000 kB\n")
    write(system / "self", cgroup="0::/slurm/job_7/step_0\n")
    write(system / "slurm/job_7/step_0", memory__max="max", memory__current="9", memory__stat="", cpu__max="max 100\n")
    write(system / "slurm/job_7", memory__max="4000000", memory__current="1000000", memory__stat="inactive_file 50")
    write(system / "slurm", cpu__max="800 100\n")
    assert machine.available_memory() == 3_000_050
    assert machine.usable_cores() == 8


def test_limits_of_the_first_version_of_control_groups_count(monkeypatch, system):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    write(system, meminfo="MemAvailable: 8000 kB\n")
    write(system / "self", cgroup="4:memory:/job\n3:cpu,cpuacct:/job\n1:name=systemd:/job\n0::/\n")
    used = {"memory__usage_in_bytes": "600", "memory__stat": "inactive_file 1\ntotal_inactive_file 100\n"}
    write(system / "memory/job", memory__limit_in_bytes="1000", **used)
    write(system / "memory", memory__limit_in_bytes=str(2**63 - 4096), **used)
    write(system / "cpu/job", cpu__cfs_quota_us="250000", cpu__cfs_period_us="100000")
    write(system / "cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert machine.available_memory() == 500
    assert machine.cpu_quota() == 2.5
    # In a container the group that /proc names may be the root of what is mounted.
    (system / "self/cgroup").write_text("4:memory:/docker/0123\n")
    write(system / "memory", memory__limit_in_bytes="2000")
    assert machine.available_memory() == 1500


@pytest.mark.parametrize("text", [None, "MemTotal: 1 kB\n", "MemAvailable:\n"])
def test_memory_is_unknown_where_the_system_does_not_tell(system, text):
    if text is not None:
        (system / "meminfo").write_text(text)
    assert machine.available_memory() is None


def test_names_the_processor(system):
    assert machine.processor()
    (system / "cpuinfo").write_text("flags\t: sse\nmodel name\t: Fast One\n")
    assert machine.processor() == "Fast One"


def test_what_the_processor_can_do_is_unknown_where_the_system_does_not_tell(system):
    assert machine.processor_flags() == frozenset()
    (system / "cpuinfo").write_text("processor\t: 0\nflags\t\t: sse avx512_bf16\n\nprocessor\t: 1\nflags\t\t: other\n")
    assert machine.processor_flags() == {"sse", "avx512_bf16"}
