"""What the system tells about the machine, without torch."""

import os
import platform
from pathlib import Path

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")


def processor() -> str:
    """Return the processor's name where the system tells it, else its architecture."""
    listing = PROC / "cpuinfo"
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def available_cores() -> int:
    """Return the number of cores this process may use: what the user, the system, and a container's limit allow."""
    if (requested := os.environ.get("OMP_NUM_THREADS", "")).isdigit() and int(requested) > 0:
        return int(requested)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def cpu_quota() -> float | None:
    """Return how many cores a container's limit allows, None without a limit."""
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # "max" stands for no limit
        return None


def available_memory() -> int | None:
    """Return how many bytes can be taken without swapping, within a container's limit; None if unknown."""
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    try:
        limit, used = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # "max" stands for no limit
        return available
    # What files have left in the cache is given back on demand.
    return min(available, limit - used + int(stat.get("inactive_file", 0)))
