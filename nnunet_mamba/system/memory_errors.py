"""Whether an error tells of a lack of memory, which passes: torch, CUDA's libraries and the system have own words."""

import errno
import re

_LACK = re.compile(
    r"out[ _]?of[ _]?memory|not enough memory|allocate memory|memory ?allocation( fail|\b)|bad_alloc"
    r"|alloc(ation)?_failed|start new thread",
    re.IGNORECASE,
)
# A loader that finds no room among a process's first variables finds none later either.
_LASTING = "static TLS block"
# What cuDNN says when there is no room for the workspace of any algorithm, and where it has no algorithm at all.
_NO_ALGORITHM = re.compile(r"unable to find an engine|unable to find a valid cudnn algorithm", re.IGNORECASE)


def is_lack_of_memory(error: BaseException, *, of_workspace: bool = False) -> bool:
    """Return whether memory, or room for one more thread, was missing, on a device or in the computer.

    Args:
        error: of torch, of a library below it, or of the system.
        of_workspace: whether convolutions are known to work on this device, so that one without an algorithm lacks
            memory for its workspace.
    """
    # torch's own class, by its name: whoever asks need not have torch.
    if isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    if not isinstance(error, (RuntimeError, OSError, ImportError)):
        return False
    text = str(error)
    if _LASTING in text:
        return False
    if getattr(error, "errno", None) == errno.ENOMEM or _LACK.search(text):
        return True
    return of_workspace and _NO_ALGORITHM.search(text) is not None
