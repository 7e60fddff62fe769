"""Apply a function to many items in worker processes; results come in order."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from nnunet_mamba.system.machine import usable_cores
from nnunet_mamba.system.progress import ShownProgress

Item = TypeVar("Item")
Result = TypeVar("Result")

# Starting a worker takes as long as converting about this many photographs.
ITEMS_PER_WORKER = 16


def default_jobs() -> int:
    """Return how many worker processes to start when the user names no number: one per usable core, at most four."""
    return min(usable_cores(), 4)


def map_in_order(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    jobs: int,
    description: str,
    progress: bool,
    items_per_worker: int = ITEMS_PER_WORKER,
    is_apart: bool = False,
    setting: str = "jobs",
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item, in the order of ``items`` whatever ``jobs`` is.

    Args:
        function: must be picklable (a function of a module, or a partial of one) if ``jobs`` > 1.
        items: picklable too.
        jobs: worker processes; short lists take fewer, one means this process unless ``is_apart``.
        description: of the work, beside its progress.
        progress: show it on standard error.
        items_per_worker: so many items are worth starting a worker.
        is_apart: never in this process, which goes on if an item ends a worker.
        setting: name of the setting that decides ``jobs``, for the text of the error.

    Raises:
        ChildProcessError: a worker died, usually for want of memory.
    """
    jobs = min(jobs, -(-len(items) // items_per_worker))
    with ShownProgress(len(items), description, is_shown=progress) as shown:
        if jobs <= 1 and not is_apart:
            for item in shown.over(items):
                yield function(item)
            return
        # Not fork: it copies the locks of threads that libraries may have started.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_follow_parent)
        try:
            with _interrupts_held_back():
                results = pool.map(function, items)
            yield from shown.over(results)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                f"a worker process died while {description}, probably for want of memory; run the same command again "
                f"with `{setting}=1`"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def in_own_process(function: Callable[[Item], Result], item: Item) -> Result:
    """Return ``function(item)``, computed in a process that may die of it.

    Args:
        function: picklable.
        item: picklable.

    Raises:
        ChildProcessError: the process died.
    """
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_follow_parent)
    try:
        with _interrupts_held_back():
            result = pool.submit(function, item)
        return result.result()
    except BrokenProcessPool as error:
        raise ChildProcessError("the process died, probably for want of memory") from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back until the block ends, and from the processes that it starts: each would print a traceback."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    is_interrupted = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal is_interrupted
        is_interrupted = True

    # New processes inherit the mask. The handler is for signals that another thread receives.
    handler = signal.signal(signal.SIGINT, remember)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if is_interrupted:
        signal.raise_signal(signal.SIGINT)


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent process, and end when it does, even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
