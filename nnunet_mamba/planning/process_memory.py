"""The most memory that this process takes from a moment on, and a limit for it."""

import contextlib
import os
import re
import sys
from pathlib import Path

import torch

from nnunet_mamba.planning.memory import GIB, Budget

# A process that takes more than this multiple of the budget is stopped: how much too large it is does not matter.
STOPPED_AT = 1.5
_CLEAR_REFS = Path("/proc/self/clear_refs")


def reset_peak(budget: Budget) -> None:
    """Forget the peak so far, and let allocations fail: above the budget on a GPU, far above it on a CPU.

    On a GPU this process then behaves as on a card of that size: cuDNN's search for the fastest algorithm passes over
    those whose workspace has no room, and torch gives back what it has kept before it fails.
    """
    if budget.device == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, budget.size / total), 0)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):
        # Elsewhere than on Linux the peak counts from the start, when libraries are loaded.
        _CLEAR_REFS.write_text("5")
    if (writable := process_status("VmData")) is not None:
        _limit_writable_memory(writable + max(0, round(STOPPED_AT * budget.size) - peak_memory(budget)))


def _limit_writable_memory(wanted: int) -> None:
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    # A cluster may have set a limit that nobody may lift.
    allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, most))


def peak_memory(budget: Budget) -> int:
    """Return the most memory since the last reset, in bytes: reserved by torch on a GPU, else of the whole process."""
    if budget.device == "cuda":
        return torch.cuda.max_memory_reserved()
    if resident := process_status("VmHWM"):
        return resident
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def taken_by_others(budget: Budget) -> str | None:
    """Return a sentence if other programs have taken so much of a GPU that the budget is not there any more."""
    if budget.device != "cuda":
        return None
    left = torch.cuda.mem_get_info(0)[0] + torch.cuda.memory_reserved(0)
    if left >= budget.size:
        return None
    return (
        f"other programs have taken memory of the GPU meanwhile: of the {budget.size / GIB:.1f} GiB to plan for, "
        f"{left / GIB:.1f} are left; plan again when they have ended"
    )


def unmapped_libraries() -> int:
    """Return how much less memory a fork has than its parent: the code of libraries that it has not touched yet."""
    own, parent = process_status("VmRSS"), process_status("VmRSS", process=str(os.getppid()))
    return 0 if own is None or parent is None else max(0, parent - own)


def process_status(name: str, *, process: str = "self") -> int | None:
    """Return the bytes that Linux gives for a process under a name such as "VmRSS"; None elsewhere."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
