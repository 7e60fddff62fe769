"""What the benchmarks share: the machine they ran on, and medians of runs that take turns."""

import os
import platform
import statistics
import time
from collections.abc import Callable

import numba
import torch
from llvmlite import binding
from numba.core import config as numba_config

from nnunet_mamba.system.machine import processor

Task = Callable[[], object]


def machine() -> str:
    """Return two comma-separated lines: what the machine and the versions are."""
    name = processor().replace(",", " ")
    kind = numba_config.CPU_NAME or binding.get_host_cpu_name()
    vectors = torch.backends.cpu.get_cpu_capability()
    versions = (platform.python_version(), torch.__version__, numba.__version__)
    values = (name, kind, vectors, os.cpu_count(), torch.get_num_threads(), *versions)
    return "cpu,llvm_cpu,vectors,cores,threads,python,torch,numba\n" + ",".join(str(value) for value in values)


def medians(tasks: dict[str, tuple[Task, int]], repeats: int) -> dict[str, float]:
    """Return the median ms of each task; each run of a task is as many calls as said.

    The tasks take turns, so that a busy machine slows all of them. The first turn, which compiles and lets threads and
    memory settle, does not count.
    """
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for repeat in range(1 + repeats):
        for name, (task, calls) in tasks.items():
            start = time.perf_counter()
            for _ in range(calls):
                task()
            if repeat:
                times[name].append((time.perf_counter() - start) / calls * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}
