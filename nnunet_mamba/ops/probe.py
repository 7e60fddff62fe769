"""Deciding by numbers whether a kernel works on this machine: small operands, and a comparison with the definition."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from torch import Tensor

from nnunet_mamba.system.memory_errors import is_lack_of_memory

_Told = TypeVar("_Told")

# Between float32's rounding (about 1e-6 on a probe) and the smallest error a wrong kernel makes (about 1e-2).
PROBE_TOLERANCE = 1e-4
# What a backend raises that does not work here: packages missing or broken, no compiler, a damaged cache.
TEST_RUN_ERRORS = (ImportError, AttributeError, OSError, RuntimeError, EOFError, UnpicklingError)


def outside_modes(test_run: Callable[..., _Told]) -> Callable[..., _Told]:
    """Let a test run take place in a thread of its own, where none of the caller's modes hold.

    The first call of a process may come while torch traces, maps, differentiates, or pretends that tensors have no
    memory; such modes belong to a thread, and would take the test run for a part of what they look at.
    """

    @wraps(test_run)
    def in_a_thread(*arguments: Any) -> _Told:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="nnunet_mamba_test_run") as executor:
            return executor.submit(test_run, *arguments).result()

    return in_a_thread


def told_failure(error: Exception) -> str:
    """Return what a test run's error says about a kernel; raise it again where it says nothing about one.

    Raises:
        Exception: the error is a lack of memory, which passes; the kernel would be refused while the process lives.
    """
    if is_lack_of_memory(error):
        raise error
    return f"its test run failed: {type(error).__name__}: {error}"


def waves(*shape: int, low: float, high: float) -> Tensor:
    """Return float64 numbers in [low, high] that look random, without touching torch's random state."""
    numbers = torch.arange(1, 1 + torch.Size(shape).numel(), dtype=torch.float64, device="cpu")
    unit = (torch.sin(numbers * 12.9898) * 43758.5453).frac().abs().reshape(shape)
    return low + (high - low) * unit


def difference(names: Iterable[str], results: Iterable[Tensor | None], expected: Iterable[Tensor | None]) -> str | None:
    """Return how the first wrong one of a test run's results differs from the expected one, or None.

    Args:
        names: of the results.
        results: on any device.
        expected: float64, on the CPU.
    """
    for name, result, right in zip(names, results, expected, strict=True):
        if result is None or right is None:
            if result is not right:
                return f"its test run returned no {name}"
            continue
        right = right.detach()
        error = float((result.detach().double().cpu() - right).abs().max() / right.abs().max())
        if not error < PROBE_TOLERANCE:
            return f"its test run is wrong: relative error {error:.1e} in {name}"
    return None
