"""Deciding by numbers whether a kernel works on this machine: small operands, and a comparison with the definition."""

from collections.abc import Iterable
from pickle import UnpicklingError

import torch
from torch import Tensor

# Between float32's rounding (about 1e-6 on a probe) and the smallest error a wrong kernel makes (about 1e-2).
PROBE_TOLERANCE = 1e-4
# What a backend raises that does not work here: packages missing or broken, no compiler, a damaged cache.
TEST_RUN_ERRORS = (ImportError, AttributeError, OSError, RuntimeError, EOFError, UnpicklingError)


def waves(*shape: int, low: float, high: float) -> Tensor:
    """Return float64 numbers in [low, high] that look random, without touching torch's random state."""
    numbers = torch.arange(1, 1 + torch.Size(shape).numel(), dtype=torch.float64, device="cpu")
    unit = (torch.sin(numbers * 12.9898) * 43758.5453).frac().abs().reshape(shape)
    return low + (high - low) * unit


def difference(names: Iterable[str], results: Iterable[Tensor | None], expected: Iterable[Tensor | None]) -> str | None:
    """Return how the first wrong one of a test run's results differs from the expected one, or None.

    Args:
        names: of the results.
        results: on any device; all NaN for states says that none are kept, so that gradients prove the run.
        expected: float64, on the CPU.
    """
    for name, result, right in zip(names, results, expected, strict=True):
        if result is None or right is None:
            if result is not right:
                return f"its test run returned no {name}"
            continue
        if name == "states" and bool(result.isnan().all()):
            continue
        right = right.detach()
        error = float((result.detach().double().cpu() - right).abs().max() / right.abs().max())
        if not error < PROBE_TOLERANCE:
            return f"its test run is wrong: relative error {error:.1e} in {name}"
    return None
