"""Whether the size that a file declares can be true and fits into memory, before memory is taken for it."""

import sys
from pathlib import Path

from nnunet_mamba.system.machine import available_memory

# The stored values, what is made of them, and what a comparison takes.
COPIES = 3
# Deflate (zip, gzip, PNG) packs bytes to this fraction of their length at best.
DEFLATE_RATIO = 1032
_OVERHEAD = 1024
# Every machine has this much, so small files need no look at its memory.
_SMALL = 2**26


def size_problem(n_bytes: int) -> str:
    """Return what is wrong with an array that needs more memory than there is, "" if it fits.

    Args:
        n_bytes: of the array, as the file says; any whole number.
    """
    if n_bytes * COPIES < _SMALL:
        return ""
    free = free_memory()
    if free is None or n_bytes * COPIES <= free:
        return ""
    return (
        f"it says that it holds {in_words(n_bytes)}, which need {in_words(n_bytes * COPIES)} of memory, and "
        f"{in_words(free)} are free; if the size is right, convert it on a larger machine, otherwise save it again"
    )


def packing_problem(n_bytes: int, n_packed: int) -> str:
    """Return what is wrong with packed bytes that are too few for what they should become, "" if they may do.

    Args:
        n_bytes: unpacked, as the file says.
        n_packed: of the file.
    """
    if n_bytes <= n_packed * DEFLATE_RATIO + _OVERHEAD:
        return ""
    return (
        f"it says that it holds {in_words(n_bytes)}, which {in_words(n_packed)} cannot become; it is damaged, copy or "
        "download it again"
    )


def in_words(n_bytes: int) -> str:
    """Return a number of bytes as a person reads it.

    Args:
        n_bytes: any whole number.
    """
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if n_bytes >= factor:
            whole = n_bytes // factor
            # A whole number may be too long for floating point.
            return f"{whole:,} {unit}" if whole >= 10 else f"{n_bytes / factor:.1f} {unit}"
    return f"{n_bytes} bytes"


def free_memory() -> int | None:
    """Return how many bytes this process may still take, within the machine's, a job's and a shell's limit.

    None if nothing tells.
    """
    known = [one for one in (available_memory(), _address_space_left()) if one is not None]
    return min(known, default=None)


def _address_space_left() -> int | None:
    """Return what ``ulimit -v`` leaves, None without such a limit."""
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        n_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return limit
    return max(0, limit - n_pages * resource.getpagesize())
