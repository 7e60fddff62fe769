"""Run a compiled kernel on several threads at once, preferably on those that torch's own operators run on.

A kernel is a C function that takes the address of its task, claims one job after the other from it and returns when
there are none left, so any number of threads may run it on the same task.

OpenMP keeps the threads of its last parallel region spinning for a moment while they wait for the next one. Threads of
our own would have to share the cores with them; the kernel as the next region of the same team starts within a
microsecond.
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path
from threading import Event, Thread

import torch

# PF_FORKNOEXEC in Linux's process flags.
_FORKED_WITHOUT_EXEC = 0x40
_IMPORTING_PROCESS = os.getpid()
# With one of these the user says how threads are to wait.
WAITING_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
# With one of these OpenMP may make a smaller team than is asked for.
_LIMITING_VARIABLES = ("OMP_THREAD_LIMIT", "OMP_DYNAMIC")
# OpenMP ends the process where the system refuses it a thread, so that it is not asked for very many.
_LARGEST_TEAM = 64
Kernel = Callable[[int], object]


@cache
def _openmp_parallel() -> Callable[[int, int, int, int], object] | None:
    """Return OpenMP's entry point for a parallel region in the library that torch itself uses, or None."""
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        parallel = ctypes.CDLL(str(library)).GOMP_parallel
    except (OSError, AttributeError):
        return None  # macOS and Windows, or a torch built with another thread pool
    parallel.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    parallel.restype = None
    return parallel


@cache
def _is_forked(process: int) -> bool:
    """Return whether the process came from a fork alone: it inherits OpenMP's state, but not its threads."""
    if process != _IMPORTING_PROCESS:
        return True
    # The fork may have been before the import, after other operators of torch; emulators do not tell.
    try:
        after_name = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
    except OSError:
        return True
    return bool(int(after_name.split()[6]) & _FORKED_WITHOUT_EXEC)


@cache
def _executor(process: int) -> ThreadPoolExecutor:
    """Return the pool of a process: a forked child inherits the object but not its threads."""
    return ThreadPoolExecutor(max_workers=max(32, os.cpu_count() or 1), thread_name_prefix="nnunet_mamba_kernel")


def run_on_threads(kernel: int, task: int, n_threads: int) -> None:
    """Run a kernel on a task.

    Args:
        kernel: address of a C function ``void kernel(void *task)``.
        task: address of the task.
        n_threads: how many threads run it at most, the calling one among them; at least 1.
    """
    process = os.getpid()
    if n_threads > 1 and not _is_forked(process) and (parallel := _openmp_parallel()) is not None:
        parallel(kernel, task, n_threads, 0)
        return
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(kernel)
    if n_threads == 1:
        function(task)
        return
    others = [_executor(process).submit(function, task) for _ in range(n_threads - 1)]
    try:
        function(task)
    finally:
        # The task and its buffers are the caller's, so no thread may outlive this call.
        wait(others)


@cache
def let_waiting_threads_sleep() -> bool:
    """Let torch's threads in this process wait for each other for microseconds, and then sleep.

    GNU OpenMP lets threads spin for milliseconds, which takes the cores from other programs, a second training above
    all. Where a process has more threads than cores it lets them spin only briefly, so here a team of threads is made
    that sleeps for as long as the process lives. OMP_WAIT_POLICY says the same, but is read before Python code runs.

    Returns:
        Whether it was done: not where the user has decided it with a variable, not with other thread pools, and not
        where torch uses a small part of many cores.
    """
    decided = any(variable in os.environ for variable in (*WAITING_VARIABLES, *_LIMITING_VARIABLES))
    if decided or _is_forked(os.getpid()):
        return False
    parallel = _openmp_parallel()
    if parallel is None or not _is_gnu_openmp():
        return False
    # Any function that returns will do.
    nothing = ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p).value or 0
    # OpenMP counts the cores that the process may run on, whatever the share of them that a container has.
    n_threads = max(2, len(os.sched_getaffinity(0)) - torch.get_num_threads() + 2)
    if n_threads > _LARGEST_TEAM:
        return False
    is_made = Event()

    def hold_team() -> None:
        # The threads belong to the thread that made them, and end with it.
        try:
            parallel(nothing, 0, n_threads, 0)
        finally:
            is_made.set()
        Event().wait()

    try:
        Thread(target=hold_team, name="nnunet_mamba_sleeping_team", daemon=True).start()
    except RuntimeError:
        return False  # no more threads
    is_made.wait()
    return True


def _is_gnu_openmp() -> bool:
    """Return whether the OpenMP library of this process is GNU's; LLVM's and Intel's answer to its names too."""
    try:
        libraries = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "/libgomp" in libraries and "/libiomp5" not in libraries and "/libomp" not in libraries
