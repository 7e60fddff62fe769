"""What the system tells about the machine, without torch."""

import os
import platform
from collections.abc import Iterator
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


def processor_flags() -> frozenset[str]:
    """Return the names of what the processor can do, as Linux calls it; none where the system does not tell."""
    listing = PROC / "cpuinfo"
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return frozenset(value.split())
    return frozenset()


def available_cores() -> int:
    """Return the number of threads to compute with: what the user asks for, or all usable cores."""
    if (requested := os.environ.get("OMP_NUM_THREADS", "")).isdigit() and int(requested) > 0:
        return int(requested)
    return usable_cores()


def usable_cores() -> int:
    """Return the number of cores that the system and a container's or job's limit let this process use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def cpu_quota() -> float | None:
    """Return how many cores a container's or job's limit allows, None without a limit."""
    return min(filter(None, map(_cpu_quota, _control_groups("cpu"))), default=None)


def available_memory() -> int | None:
    """Return how many bytes can be taken without swapping, within a container's or job's limit; None if unknown."""
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    limited = [left for group in _control_groups("memory") if (left := _memory_left(group)) is not None]
    return max(0, min(available, *limited)) if limited else available


def _control_groups(controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups whose limits hold for this process, from the innermost out.

    Containers often show their own group as the root, whatever /proc says: the root is always among them.
    """
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        lines = []
    # "0::/path" in version 2; "4:memory:/path" in version 1, which has a hierarchy for each controller.
    for root, name in ((CGROUP, ""), (CGROUP / controller, controller)):
        paths = [path for _, names, path in (line.split(":", 2) for line in lines) if name in names.split(",")]
        for path in {*paths[:1], "/"}:
            group = Path(path.lstrip("/"))
            yield from (root / one for one in (group, *group.parents))


def _cpu_quota(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        except OSError:
            return None
    try:
        return int(quota) / int(period) if int(quota) > 0 else None
    except ValueError:  # "max" stands for no limit
        return None


def _memory_left(group: Path) -> int | None:
    for limit, usage, inactive in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            allowed, used = (int((group / name).read_text()) for name in (limit, usage))
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # "max" stands for no limit
            continue
        # What files have left in the cache is given back on demand.
        return allowed - used + int(stat.get(inactive, 0))
    return None
