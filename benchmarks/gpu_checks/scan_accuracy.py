"""y and all gradients of the scan against float64, at the networks' shapes and at odd ones, and twice bit for bit.

    python -m gpu_checks.scan_accuracy I N

compiles the kernels of every N-th check into Triton's cache, from the I-th on.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import torch
from torch import Tensor

from gpu_checks.checks import Check, Finding, Setting, SkipCheck, equal, within
from gpu_checks.scan_shapes import NETWORKS, SMALL_NETWORKS, STATES, TAILS, Shape, leaves, moved, operands, sliced
from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.scan.backends import BACKENDS, VARIABLE, ScanBackend
from nnunet_mamba.ops.scan.operands import TENSOR_NAMES, ScanOperands
from nnunet_mamba.system.machine import usable_cores

# Largest error, relative to the largest number of the exact result.
TOLERANCE = {
    torch.float32: 1e-5,  # most of it is the rounding of the exponent delta * A * log2(e)
    torch.float16: 6e-4,  # half a unit in the last of 11 bits of the result; state and sums are float32
    torch.bfloat16: 4.5e-3,  # half a unit in the last of 8 bits
}
# float32's tolerance holds up to this many tokens; the rounding of a sum over more grows with the root of their number.
_TOKENS_OF_TOLERANCE = 1000
_SMALL_CASES = ("UltraLight", "VM-UNet", "l=1", "l=65", "n=64", "sliced", "bare")
_MOST_COMPILERS = 8

Case = Callable[[str, torch.dtype], ScanOperands]


def _cases(setting: Setting) -> dict[str, Case]:
    networks = SMALL_NETWORKS if setting.is_small else NETWORKS
    cases: dict[str, Case] = {
        f"{name} {shape}": partial(operands, shape) for name, shape in {**networks, **TAILS, **STATES}.items()
    }
    odd = Shape(2, 24, 333, groups=2)
    cases[f"sliced {odd}"] = lambda device, dtype: sliced(operands(odd, device, dtype))
    cases[f"bare {odd}, no D, z, bias, softplus"] = lambda device, dtype: _bare(operands(odd, device, dtype))
    if setting.is_small:
        return {name: case for name, case in cases.items() if name.startswith(_SMALL_CASES)}
    return cases


def _bare(x: ScanOperands) -> ScanOperands:
    return x._replace(delta=x.delta.abs() / 8, D=None, z=None, delta_bias=None, delta_softplus=False)


def checks(setting: Setting) -> list[Check]:
    """Return the checks of this part: the networks in float32 first."""
    u = torch.zeros(1, 1, 1, device=setting.device)
    backends = [backend for backend in BACKENDS.values() if backend.name != "reference" and not backend.refusal(u)]
    found = [Check("Triton's interpreter", _interpreted)] if setting.is_small else []
    if not backends:
        found.append(Check("kernels", _no_kernels))
    elif setting.device == "cuda":
        found.append(Check("kernels compiled beforehand", _compile_beforehand))
    for backend in backends:
        for dtype in TOLERANCE:
            for name, case in _cases(setting).items():
                what = f"{backend.name} {_short(dtype)} {name}"
                found.append(Check(what, partial(_check, backend, case, dtype, setting.device)))
    return found


def _no_kernels() -> Iterator[Finding]:
    raise SkipCheck("nothing but the reference runs here; the part 'machine' says why")


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _check(backend: ScanBackend, case: Case, dtype: torch.dtype, device: str) -> Iterator[Finding]:
    x = case(device, dtype)
    with chosen(backend.name):
        results = y_and_gradients(x)
        again = y_and_gradients(x)
    # The reference takes float64 wherever it is; on the GPU it takes seconds.
    with chosen(None):
        exact = y_and_gradients(moved(x, device, torch.float64))
    names = ("y", *(f"d{name}" for name in TENSOR_NAMES))
    errors = {
        name: relative_error(result, right)
        for name, result, right in zip(names, results, exact, strict=True)
        if result is not None and right is not None
    }
    worst = max(errors, key=lambda name: (errors[name] != errors[name], errors[name]))
    limit = TOLERANCE[dtype]
    if dtype is torch.float32:
        limit *= max(1.0, (x.u.shape[2] / _TOKENS_OF_TOLERANCE) ** 0.5)
    finding = within(errors[worst], limit, where=f"{worst}, y {errors['y']:.1e}")
    yield finding
    if backend.is_deterministic:
        same = all(a is None or torch.equal(a, b) for a, b in zip(results, again, strict=True))
        # One row of both would hide which; one more row for each that is right would hide the rest.
        if not same:
            yield equal(same, what="twice")


def y_and_gradients(x: ScanOperands) -> tuple[Tensor | None, ...]:
    """Return y and one gradient per tensor operand, None for an absent one."""
    tensors = leaves(x)
    y = selective_scan(*tensors, x.delta_softplus)
    present = [tensor for tensor in tensors if tensor is not None]
    gradients = iter(torch.autograd.grad(y, present, x.u.flip(2).contiguous()))
    return (y.detach(), *(None if tensor is None else next(gradients) for tensor in tensors))


def relative_error(result: Tensor, right: Tensor) -> float:
    """Return the largest error, relative to the largest number of what is right."""
    scale = right.abs().max().item()
    error = (result.double() - right).abs().max().item()
    return error / scale if scale else error


@contextmanager
def chosen(backend: str | None) -> Iterator[None]:
    """Let every scan take this backend; None lets each choose."""
    before = os.environ.pop(VARIABLE, None)
    if backend is not None:
        os.environ[VARIABLE] = backend
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def _interpreted() -> Iterator[Finding]:
    """Run the Triton kernels in Triton's interpreter, which is chosen when Triton is imported: in a new process."""
    variables = {"TRITON_INTERPRET": "1", VARIABLE: "triton_gpu"}
    command = [sys.executable, "-m", "gpu_checks.interpreted_scan"]
    asked = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise RuntimeError((asked.stderr.strip().splitlines() or [f"exit status {asked.returncode}"])[-1])
    yield within(float(asked.stdout), TOLERANCE[torch.float32])


def _compile_beforehand() -> Iterator[Finding]:
    """Fill Triton's cache by several processes at once, because one after the other the kernels take minutes."""
    began = time.perf_counter()
    n = max(1, min(_MOST_COMPILERS, usable_cores() - 1))
    command = [sys.executable, "-m", "gpu_checks.scan_accuracy"]
    processes = [
        subprocess.Popen([*command, str(i), str(n)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for i in range(n)
    ]
    statuses = [process.wait() for process in processes]
    failed = f", {sum(map(bool, statuses))} of them failed" if any(statuses) else ""
    yield Finding(f"{time.perf_counter() - began:.0f} s, {n} processes{failed}")


def _compile_every(start: int, step: int) -> None:
    cases = [(case, dtype) for dtype in TOLERANCE for case in _cases(Setting("cuda", is_dry_run=False)).values()]
    for case, dtype in cases[start::step]:
        # The check itself tells what is wrong, and has the memory to itself.
        with suppress(RuntimeError), chosen("triton_gpu"):
            y_and_gradients(case("cuda", dtype))


if __name__ == "__main__":
    _compile_every(int(sys.argv[1]), int(sys.argv[2]))
