"""How the C library keeps the memory that a process frees.

glibc gives large blocks back to the system and asks for them again. A training step frees and takes gigabytes, and the
system fills every page of them with zeros each time: tens of thousands of page faults a step, on one core.
"""

import ctypes
import os
from typing import Any

_MIB = 1 << 20
# The parameters of mallopt(3), from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_NEVER = -1
# Some versions of glibc refuse more than the last.
_LARGEST_BLOCKS = (1024 * _MIB, 32 * _MIB)
# With one of these the user decides.
ALLOCATOR_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_")
TUNABLES_VARIABLE = "GLIBC_TUNABLES"


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, and take it again without asking the system.

    Nothing changes where the allocator is not glibc's (Alpine's musl, macOS, Windows, a preloaded jemalloc), where the
    user has set an allocator variable of glibc, nor in programs that this one starts. Repeating it is harmless.

    Returns:
        Whether the C library took the settings.
    """
    library = _glibc()
    if library is None or _is_decided():
        return False
    for size in _LARGEST_BLOCKS:
        if library.mallopt(_M_MMAP_THRESHOLD, size):
            break
    else:
        return False
    return bool(library.mallopt(_M_TRIM_THRESHOLD, _NEVER) and library.mallopt(_M_TOP_PAD, 64 * _MIB))


def give_back_freed_memory() -> None:
    """Give back the memory that the process has kept, and from here on blocks above 32 MiB when they are freed.

    Call it where work begins whose sizes do not repeat.
    """
    library = _glibc()
    if library is None or _is_decided():
        return
    library.mallopt(_M_MMAP_THRESHOLD, 32 * _MIB)
    library.mallopt(_M_TRIM_THRESHOLD, 64 * _MIB)
    library.mallopt(_M_TOP_PAD, 0)
    library.malloc_trim(0)


def _is_decided() -> bool:
    return any(name in os.environ for name in ALLOCATOR_VARIABLES) or "glibc.malloc" in os.environ.get(
        TUNABLES_VARIABLE, ""
    )


def _glibc() -> Any | None:
    """Return glibc if this process allocates with it."""
    try:
        process, library = ctypes.CDLL(None), ctypes.CDLL("libc.so.6")
        for name in ("gnu_get_libc_version", "mallopt", "malloc_trim"):
            getattr(library, name)
        used, own = (ctypes.cast(one.malloc, ctypes.c_void_p).value for one in (process, library))
    except (OSError, TypeError, AttributeError):  # Windows has no name for the process
        return None
    # Another allocator may have been loaded before it.
    return library if used == own else None
