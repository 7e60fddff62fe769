"""Which implementation of the scan can run on which tensor."""

import importlib
import logging
import os
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Protocol, cast

import torch
from torch import Tensor

from nnunet_mamba.ops.probe import TEST_RUN_ERRORS, difference, outside_modes, told_failure, waves
from nnunet_mamba.ops.scan import reference
from nnunet_mamba.ops.scan.backend_speed import SHAPE, times_of
from nnunet_mamba.ops.scan.operands import TENSOR_NAMES, SavedKinds, ScanOperands

VARIABLE = "NNUNET_MAMBA_SCAN"

_logger = logging.getLogger(__name__)
# Of its rival's time, what a backend must stay below to be used.
_WORTH_IT = 0.95


class ScanImplementation(Protocol):
    """The contract of a backend's module; see ``reference`` for the meaning."""

    def forward(self, operands: ScanOperands, /) -> Tensor:
        """Return y, (b, d, l), in the dtype of ``u``."""

    def forward_saving(self, operands: ScanOperands, /) -> tuple[Tensor, ...]:
        """Return y and the states before every 64th token, (b, ceil(l / 64), n, d), in the state's dtype."""

    def backward(self, dy: Tensor, operands: ScanOperands, /, *saved: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return one gradient per tensor operand, None for an absent one; the states may be those saved or None."""


class SavingImplementation(ScanImplementation, Protocol):
    """The contract of a backend that saves something else than states, two tensors; the second may be empty."""

    def saved_kinds(self, operands: ScanOperands, /) -> SavedKinds:
        """Return what ``forward_saving`` saves."""


@dataclass(frozen=True)
class ScanBackend:
    """A module with ``forward`` and ``backward``, and the tensors it accepts.

    Args:
        name: the module's name in this folder, and the value of ``$NNUNET_MAMBA_SCAN`` that forces it.
        dtypes: of the tokens u; the other operands follow them up to float32.
        devices: torch device types, or None for all.
        requires: an importable module it needs, or None.
        is_deterministic: its results are the same in every run, to the last bit.
        saves_its_own: its module is a ``SavingImplementation``.
        rival: the name of a backend that may be faster than this one, where both can run.
    """

    name: str
    dtypes: frozenset[torch.dtype]
    devices: frozenset[str] | None = None
    requires: str | None = None
    is_deterministic: bool = True
    saves_its_own: bool = False
    rival: str | None = None

    def refusal(self, u: Tensor) -> str | None:
        """Return why this backend cannot take tokens ``u``, or None if it can."""
        return self.refusal_of(u.dtype, u.device)

    def refusal_of(self, dtype: torch.dtype, device: torch.device) -> str | None:
        """Return why this backend cannot take tokens of this dtype on this device, or None if it can."""
        if self.devices is not None and device.type not in self.devices and not self._is_interpreted(device):
            return f"runs on {'/'.join(sorted(self.devices))}, not on {device.type}"
        if dtype not in self.dtypes:
            return f"does not take {dtype}"
        if not self.is_installed:
            return f"{self.requires} is not installed"
        if not self.is_deterministic and torch.are_deterministic_algorithms_enabled():
            return "its gradients differ from run to run, and torch.use_deterministic_algorithms(True) forbids that"
        return _probe_failure(self.name, str(device))

    @property
    def is_installed(self) -> bool:
        """Whether the module that it needs is there."""
        return self.requires is None or _installed(self.requires)

    def _is_interpreted(self, device: torch.device) -> bool:
        """Return whether Triton's interpreter stands in for the GPU; it is so slow that it must be asked for."""
        is_asked_for = os.environ.get("TRITON_INTERPRET") == "1" and os.environ.get(VARIABLE) == self.name
        return is_asked_for and self.requires == "triton" and device.type == "cpu"

    def load(self) -> ScanImplementation:
        """Import the backend's module, and with it what it requires."""
        return _load(self.name)


_NARROW = frozenset({torch.float32, torch.float16, torch.bfloat16})
BACKENDS = {
    backend.name: backend
    for backend in (  # most preferred first; the reference takes everything
        ScanBackend(
            "mamba_ssm_cuda",
            _NARROW,
            frozenset({"cuda"}),
            "selective_scan_cuda",
            is_deterministic=False,
            saves_its_own=True,
            rival="triton_gpu",
        ),
        ScanBackend("triton_gpu", _NARROW, frozenset({"cuda"}), "triton"),
        ScanBackend("numba_cpu", _NARROW, frozenset({"cpu"}), "numba"),
        ScanBackend("reference", _NARROW | {torch.float64}),
    )
}


@cache
def _installed(module: str) -> bool:
    return find_spec(module) is not None


@cache
def _load(name: str) -> ScanImplementation:
    return cast("ScanImplementation", importlib.import_module(f"nnunet_mamba.ops.scan.{name}"))


def _probe_operands(dtype: torch.dtype, device: str) -> ScanOperands:
    """Return operands that use every feature of a scan."""

    def numbers(*shape: int, low: float, high: float) -> Tensor:
        return waves(*shape, low=low, high=high).to(device, dtype)

    b, g, d, n, length = 2, 2, 6, 3, 70
    return ScanOperands(
        u=numbers(b, d, length, low=-1, high=1),
        delta=numbers(b, d, length, low=-2, high=1),
        A=numbers(d, n, low=-2, high=-0.1),
        B=numbers(b, g, n, length, low=-1, high=1),
        C=numbers(b, g, n, length, low=-1, high=1),
        D=numbers(d, low=0.5, high=1),
        z=numbers(b, d, length, low=-2, high=2),
        delta_bias=numbers(d, low=-0.5, high=0.5),
        delta_softplus=True,
    )


@cache
@outside_modes
def _probe_failure(name: str, device: str) -> str | None:
    """Run a tiny scan and its gradients on ``device``; return how it differs from the reference, or None."""
    if name == "reference":
        return None
    exact = _probe_operands(torch.float64, "cpu")
    try:
        # On a device that is only pretended, too, where nothing can be placed.
        operands = _probe_operands(torch.float32, device)
        dy = operands.u.flip(2)
        implementation = _load(name)
        y, *saved = implementation.forward_saving(operands)
        results = [implementation.forward(operands), y, *implementation.backward(dy, operands, *saved)]
    except TEST_RUN_ERRORS as error:
        return told_failure(error)
    exact_y, exact_states = reference.forward_saving(exact)
    expected = [exact_y, exact_y, *reference.backward(exact.u.flip(2), exact)]
    names = ["y", "y", *(f"d{operand}" for operand in TENSOR_NAMES)]
    if not BACKENDS[name].saves_its_own:
        names, results, expected = [*names, "states"], [*results, *saved], [*expected, exact_states]
    return difference(names, results, expected)


@cache
def _log_choice(name: str, device: str, forced: bool) -> None:
    _logger.info("selective scan on %s: %s%s", device, name, f" (forced by {VARIABLE})" if forced else "")


def _first(dtype: torch.dtype, device: torch.device) -> ScanBackend | None:
    """Return the first backend that takes these tokens, or the faster one of it and its rival."""
    able = (backend for backend in BACKENDS.values() if backend.refusal_of(dtype, device) is None)
    first = next(able, None)
    if first is None or first.rival is None or BACKENDS[first.rival].refusal_of(dtype, device) is not None:
        return first
    return BACKENDS[_faster(first.name, first.rival, dtype, str(device))]


@cache
@outside_modes
def _faster(name: str, rival: str, dtype: torch.dtype, device: str) -> str:
    """Return which of two backends to use on a device."""
    try:
        times = times_of({one: _load(one) for one in (name, rival)}, dtype, device)
    except (RuntimeError, OSError, ImportError, MemoryError) as error:
        # A lack of memory. Another answer later could come between a forward and its backward pass.
        _logger.info("selective scan of %s on %s: %s, as nothing could be timed: %s", dtype, device, rival, error)
        return rival
    told = ", ".join(f"{one} {ms:.3g} ms" for one, ms in times.items())
    _logger.info("selective scan of %s on %s, both passes of %s: %s", dtype, device, SHAPE, told)
    # The rival's results are the same in every run, which is worth a little.
    return name if times[name] < _WORTH_IT * times[rival] else rival


def choose_backend(u: Tensor) -> ScanBackend:
    """Return the backend named by ``$NNUNET_MAMBA_SCAN``, else the first one that takes ``u``.

    Where two that are compiled for the same kind of device take it, they are timed there, once a process.

    Raises:
        ValueError: the variable names no backend.
        RuntimeError: the named backend does not take ``u``; lists every backend's reason.
    """
    return _choose(u.dtype, u.device)


def _choose(dtype: torch.dtype, device: torch.device) -> ScanBackend:
    name = os.environ.get(VARIABLE) or None
    if name is not None and name not in BACKENDS:
        raise ValueError(
            f"{VARIABLE}={name!r} is not a scan backend; expected one of {', '.join(BACKENDS)}, or unset it"
        )
    found = _first(dtype, device) if name is None else BACKENDS[name]
    if found is not None and found.refusal_of(dtype, device) is None:
        _log_choice(found.name, device.type, name is not None)
        return found
    reasons = "\n".join(
        f"  {backend.name}: {backend.refusal_of(dtype, device) or 'available'}" for backend in BACKENDS.values()
    )
    asked = f"{VARIABLE}={name}" if name else "no backend"
    raise RuntimeError(
        f"{asked} cannot run a scan of {dtype} on {device}; name an available one or unset it:\n{reasons}"
    )


def own_saver(u: Tensor) -> SavingImplementation | None:
    """Return what scans ``u`` if it saves something else than states for its backward pass, None otherwise."""
    # Where no such backend is installed, tensors without memory on a device that is not there need no choice.
    if not any(backend.saves_its_own and backend.is_installed for backend in BACKENDS.values()):
        return None
    backend = choose_backend(u)
    return cast("SavingImplementation", backend.load()) if backend.saves_its_own else None


_CPU = torch.device("cpu")


def numba_is_chosen() -> bool:
    """Return whether float32 tokens on the CPU are scanned by ``numba_cpu``."""
    return _choose(torch.float32, _CPU).name == "numba_cpu"


def triton_is_allowed(device: torch.device) -> bool:
    """Return whether fused Triton kernels may take float32 tokens on a device where Triton's scan works.

    They may where ``mamba_ssm_cuda`` scans faster, too, as most of what they save lies around the scan.
    """
    is_named = (os.environ.get(VARIABLE) or "triton_gpu") == "triton_gpu"
    return is_named and BACKENDS["triton_gpu"].refusal_of(torch.float32, device) is None
