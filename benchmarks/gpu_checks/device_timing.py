"""Times on a device: medians of runs that take turns."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch

GIBIBYTE = 2**30
_WARM_UP = 3

Task = Callable[[], object]


def synchronise(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def run_ms(task: Task, device: str) -> float:
    """Return the ms of one run: between two events on a GPU, by the clock on a CPU."""
    if device != "cuda":
        began = time.perf_counter()
        task()
        return (time.perf_counter() - began) * 1e3
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    task()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def medians(tasks: Mapping[str, Task], device: str, *, repeats: int) -> dict[str, float]:
    """Return the median ms of each task; the first runs, which compile and let memory settle, do not count."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for repeat in range(repeats + (_WARM_UP if device == "cuda" else 1)):
        for name, task in tasks.items():
            ms = run_ms(task, device)
            if repeat >= (_WARM_UP if device == "cuda" else 1):
                times[name].append(ms)
    return {name: statistics.median(values) for name, values in times.items()}


def copy_bandwidth(device: str, *, size: int, repeats: int) -> float:
    """Return the bytes per ms that a copy of ``size`` bytes reads and writes."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / medians({"copy": lambda: target.copy_(source)}, device, repeats=repeats)["copy"]
