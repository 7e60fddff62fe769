"""Measure every backend of the scan on this machine: whether it runs, how exact it is, how fast."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nnunet_mamba.ops.scan import reference
from nnunet_mamba.ops.scan.backends import BACKENDS, ScanBackend, choose_backend
from nnunet_mamba.ops.scan.operands import TENSOR_NAMES, ScanOperands

ERROR_SHAPE = (2, 20, 200, 16)  # (b, d, l, n), with two groups
SPEED_SHAPE = (8, 256, 256, 16)  # with one group
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
# The reference needs a thousand times as long; it is measured to compare with.
REPEATS, REPEATS_OF_REFERENCE = 15, 3


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one backend does with float32 tokens on one device.

    Args:
        backend: its name.
        device: "cpu" or "cuda".
        refusal: why it does not run there; then nothing is measured.
        error: largest error of y, relative to the largest value of the float64 reference's.
        gradient_error: the same, for the worst gradient.
        worst_gradient: the operand whose gradient that is.
        forward: median ns per (b, d, l) without gradients.
        forward_backward: median ns per (b, d, l) with all gradients.
    """

    backend: str
    device: str
    refusal: str | None = None
    error: float | None = None
    gradient_error: float | None = None
    worst_gradient: str | None = None
    forward: float | None = None
    forward_backward: float | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The backend that a scan takes, or why there is none."""

    device: str
    dtype: str
    backend: str | None
    problem: str | None = None


def devices() -> list[str]:
    """Return the kinds of device of this machine that a scan may run on."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def choices() -> list[Choice]:
    """Return what ``choose_backend`` does for every device and dtype, ``$NNUNET_MAMBA_SCAN`` respected."""
    return [_choice(device, dtype) for device in devices() for dtype in DTYPES]


def _choice(device: str, dtype: torch.dtype) -> Choice:
    name = str(dtype).removeprefix("torch.")
    try:
        backend = choose_backend(torch.zeros(1, 1, 1, device=device, dtype=dtype))
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        return Choice(device=device, dtype=name, backend=None, problem=str(error))
    return Choice(device=device, dtype=name, backend=backend.name)


def measure_backends(seed: int, *, on_start: Callable[[str], None] = lambda text: None) -> Iterator[Measurement]:
    """Yield one measurement per device and backend, those that do not run included.

    Args:
        seed: of the random operands.
        on_start: called with what is measured next; one takes seconds, more where kernels must be compiled first.
    """
    for device in devices():
        for backend in BACKENDS.values():
            on_start(f"{backend.name} on {device}")
            try:
                refusal = backend.refusal(torch.zeros(1, 1, 1, device=device))
                if refusal is not None:
                    yield Measurement(backend=backend.name, device=device, refusal=refusal)
                    continue
                yield _measure(backend, device, seed)
            # A kernel that passed its test scan may still fail: no memory, or no room for its compiled files.
            except (OSError, RuntimeError, MemoryError) as error:
                yield Measurement(backend=backend.name, device=device, refusal=f"{type(error).__name__}: {error}")


def _measure(backend: ScanBackend, device: str, seed: int) -> Measurement:
    errors = _errors(backend, device, seed)
    error = errors.pop("y")
    # NaN, which compares as smaller than nothing, is the worst of all.
    worst = max(errors, key=lambda name: (errors[name] != errors[name], errors[name]))
    forward, forward_backward = _speed(backend, device, seed)
    return Measurement(
        backend=backend.name,
        device=device,
        error=error,
        gradient_error=errors[worst],
        worst_gradient=worst,
        forward=forward,
        forward_backward=forward_backward,
    )


def random_operands(shape: tuple[int, int, int, int], *, groups: int, seed: int) -> ScanOperands:
    """Return float32 operands on the CPU with every feature of a scan, spread like those of a Mamba block.

    Args:
        shape: (b, d, l, n).
        groups: of B and C.
        seed: the same numbers for the same seed; torch's own random state stays as it is.
    """
    b, d, length, n = shape
    generator = torch.Generator().manual_seed(seed)

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator, dtype=torch.float32)

    return ScanOperands(
        u=normal(b, d, length),
        delta=normal(b, d, length) - 2,
        A=-torch.arange(1, n + 1, dtype=torch.float32).repeat(d, 1),
        B=normal(b, groups, n, length),
        C=normal(b, groups, n, length),
        D=normal(d),
        z=normal(b, d, length),
        delta_bias=normal(d),
        delta_softplus=True,
    )


def _moved(operands: ScanOperands, device: str) -> ScanOperands:
    moved: dict[str, Any] = {
        name: x.to(device) for name, x in zip(TENSOR_NAMES, operands.tensors, strict=True) if x is not None
    }
    return operands._replace(**moved)


def _errors(backend: ScanBackend, device: str, seed: int) -> dict[str, float]:
    """Return the relative errors of y and, by operand, of the gradients."""
    narrow = random_operands(ERROR_SHAPE, groups=2, seed=seed)
    dy = narrow.u.flip(2)
    implementation, operands = backend.load(), _moved(narrow, device)
    y, *saved = implementation.forward_saving(operands)
    results = (y, *implementation.backward(dy.to(device), operands, *saved))
    exact = narrow.to(torch.float64)
    expected = (reference.forward(exact), *reference.backward(dy.double(), exact))
    errors = {}
    for name, result, right in zip(("y", *TENSOR_NAMES), results, expected, strict=True):
        if result is not None and right is not None:
            errors[name] = float((result.double().cpu() - right).abs().max() / right.abs().max())
    return errors


def _speed(backend: ScanBackend, device: str, seed: int) -> tuple[float, float]:
    """Return the medians, in ns per (b, d, l), of a scan without gradients and of one with all of them."""
    implementation = backend.load()
    operands = _moved(random_operands(SPEED_SHAPE, groups=1, seed=seed), device)
    dy = operands.u.flip(2).contiguous()

    def forward() -> None:
        implementation.forward(operands)

    def forward_backward() -> None:
        _, *saved = implementation.forward_saving(operands)
        implementation.backward(dy, operands, *saved)

    repeats = REPEATS_OF_REFERENCE if backend.name == "reference" else REPEATS
    b, d, length, _ = SPEED_SHAPE
    per_number = 1e9 / (b * d * length)
    return _median_time(forward, device, repeats) * per_number, _median_time(
        forward_backward, device, repeats
    ) * per_number


def _median_time(function: Callable[[], None], device: str, repeats: int) -> float:
    """Return the median time of ``function`` in s, after one run that is not counted."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        function()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])
