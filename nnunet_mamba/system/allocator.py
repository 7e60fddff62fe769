"""How the C library keeps the memory that a process frees.

glibc gives large blocks back to the system and asks for them again. A training step frees and takes gigabytes, and the
system fills every page of them with zeros each time: tens of thousands of page faults a step, on one core.
"""

import ctypes

_MIB = 1 << 20
# The parameters of mallopt(3), from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
# Some versions of glibc refuse more than the last.
_LARGEST_BLOCKS = (1024 * _MIB, 32 * _MIB)


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, and take it again without asking the system.

    Nothing changes where the C library is not glibc (Alpine's musl, macOS, Windows), nor in other processes: programs
    that this one starts have settings of their own. It cannot be undone. Repeating it is harmless.

    Returns:
        Whether the C library took the settings.
    """
    library = _glibc()
    if library is None:
        return False
    for size in _LARGEST_BLOCKS:
        if library.mallopt(_M_MMAP_THRESHOLD, size):
            break
    else:
        return False
    return bool(library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1) and library.mallopt(_M_TOP_PAD, 64 * _MIB))


def _glibc() -> ctypes.CDLL | None:
    """Return the C library of this process if it is glibc, which alone has a function that tells its version."""
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  asks whether it is there
    except (OSError, TypeError, AttributeError):  # Windows has no name for it
        return None
    return library
