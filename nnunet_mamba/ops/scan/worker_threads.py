"""Run numbered jobs on as many threads as torch uses.

Plain Python threads around kernels that release the interpreter lock: numba's own threading layers do not survive a
fork, or two Python threads at once, and slow torch's down when they load first.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise

import torch


@cache
def _executor(process: int) -> ThreadPoolExecutor:
    """Return the pool of a process: a forked child inherits the object but not its threads."""
    return ThreadPoolExecutor(max_workers=max(32, os.cpu_count() or 1), thread_name_prefix="nnunet_mamba_scan")


def run_jobs(run: Callable[[int, int], object], n_jobs: int, min_jobs: int) -> None:
    """Call ``run(first, last)`` on parts of ``range(n_jobs)``, at once on up to ``torch.get_num_threads()`` threads.

    Args:
        run: works on jobs ``first`` to ``last - 1``; parts must not write to the same memory.
        n_jobs: how many jobs there are.
        min_jobs: how many jobs are worth a thread.
    """
    n_parts = max(1, min(torch.get_num_threads(), n_jobs // max(1, min_jobs)))
    bounds = [part * n_jobs // n_parts for part in range(n_parts + 1)]
    if n_parts == 1:
        run(0, n_jobs)
        return
    pool = _executor(os.getpid())
    others = [pool.submit(run, first, last) for first, last in pairwise(bounds[1:])]
    try:
        run(bounds[0], bounds[1])
    finally:
        # The parts write into buffers of the caller, so none may outlive this call.
        wait(others)
    for other in others:
        other.result()
