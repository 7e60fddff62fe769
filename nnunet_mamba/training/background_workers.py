"""Why a background worker of nnU-Net's data loading died.

nnU-Net's own message points to "the print statements above". They are hundreds of lines up, and missing if the system
killed the worker.
"""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

MESSAGES_FILES = "background_workers*.txt"
# In nnU-Net's own error.
WORKERS_ARE_GONE = "background workers are no longer alive"
_SHOWN_LINES = 12


def messages_file(rank: int) -> str:
    """Return the name of the file for the workers of the process of this rank."""
    return MESSAGES_FILES.replace("*", f"_{rank}" if rank else "")


@contextmanager
def worker_messages_in(path: Path) -> Iterator[None]:
    """Send the standard error of processes that are started in the block to a file, for as long as they live.

    Args:
        path: the file to create; each process of a training needs one of its own.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def worker_processes(*loaders: Any) -> list[BaseProcess]:
    """Return the processes of nnU-Net's data loaders, none for those without.

    Args:
        loaders: batchgenerators' augmenters.
    """
    return [process for loader in loaders for process in getattr(loader, "_processes", ())]


def explain(error: RuntimeError, messages: Path, processes: Sequence[BaseProcess]) -> RuntimeError | None:
    """Return an error that gives the cause, None if ``error`` is about something else.

    Args:
        error: raised by a training.
        messages: the file of ``worker_messages_in``.
        processes: of the data loaders; empty if they were not all started.
    """
    if WORKERS_ARE_GONE not in str(error):
        return None
    written = messages.read_text(encoding="utf-8", errors="replace").strip() if messages.is_file() else ""
    killed_by = sorted({-process.exitcode for process in processes if process.exitcode and process.exitcode < 0})
    # The loader itself terminates the workers that are left.
    signals = [signal.Signals(number) for number in killed_by if number != signal.SIGTERM]
    lines = written.splitlines()
    cut = [f"... ({len(lines) - _SHOWN_LINES} lines before, in {messages})"] if len(lines) > _SHOWN_LINES else []
    words = "\n  ".join(["", *cut, *lines[-_SHOWN_LINES:]])
    if signal.SIGBUS in signals:
        cause = (
            "the system ended it with SIGBUS: shared memory (/dev/shm) is full. Give the container more (--shm-size)"
        )
    elif signals:
        names = ", ".join(one.name for one in signals)
        cause = f"the system ended it with {names}, most often for want of memory"
    elif written:
        cause = f"its last words were:{words}"
    else:
        cause = "it ended silently, most often for want of memory"
    if signals and written:
        # A killed worker cannot say so itself.
        cause += f"\nBefore that the workers wrote, which may have to do with it:{words}"
    return RuntimeError(
        f"A background worker that loads and augments cases died; {cause}\n"
        "Continue from the last checkpoint with --c. If memory was short: fewer workers (export nnUNet_n_proc_DA=2, or "
        "1), or a smaller batch or patch (nnunet-mamba plan)."
    )
