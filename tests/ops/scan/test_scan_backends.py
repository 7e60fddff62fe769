import logging
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.scan import backend_speed, backends, numba_cpu, reference
from nnunet_mamba.ops.scan.backend_speed import SHAPE
from nnunet_mamba.ops.scan.backends import BACKENDS, VARIABLE, ScanBackend, choose_backend, triton_is_allowed


@pytest.fixture(autouse=True)
def _forgetful():
    """Let each test make the choice, the probe and the log line for the first time."""
    all_remembered = (
        *(backends._installed, backends._load, backends._probe_failure, backends._log_choice),
        backends._faster,
    )
    for remembered in all_remembered:
        remembered.cache_clear()
    yield
    for remembered in all_remembered:
        remembered.cache_clear()


@pytest.fixture
def replaced_kernels(monkeypatch):
    def replace(**functions):
        right = {name: getattr(reference, name) for name in ("forward", "forward_saving", "backward")}
        fake = SimpleNamespace(**{**right, **functions})
        monkeypatch.setattr(backends, "_load", {"numba_cpu": fake, "reference": reference}.get)

    return replace


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (torch.float32, "numba_cpu"),
        (torch.float16, "numba_cpu"),
        (torch.bfloat16, "numba_cpu"),
        (torch.float64, "reference"),
    ],
)
def test_takes_the_fastest_backend_for_the_dtype(dtype, name):
    assert choose_backend(torch.zeros(1, 1, 1, dtype=dtype)).name == name


def test_a_device_without_a_kernel_gets_the_reference():
    assert choose_backend(torch.zeros(1, 1, 1, device="meta")).name == "reference"


def test_variable_forces_a_backend(monkeypatch, make_operands):
    x = make_operands(length=70)
    monkeypatch.setenv(VARIABLE, "reference")
    assert torch.equal(selective_scan(*x), reference.forward(x))
    monkeypatch.setenv(VARIABLE, "numba_cpu")
    assert torch.equal(selective_scan(*x), numba_cpu.forward(x))


def test_empty_variable_forces_nothing(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    assert choose_backend(torch.zeros(1, 1, 1)).name == "numba_cpu"


def test_unknown_forced_backend_is_an_error(monkeypatch, make_operands):
    monkeypatch.setenv(VARIABLE, "fastest")
    with pytest.raises(ValueError, match=r"'fastest' is not a scan backend; expected one of .*numba_cpu, reference"):
        selective_scan(*make_operands())


def test_forced_backend_that_cannot_run_is_an_error_with_every_reason(monkeypatch, make_operands):
    monkeypatch.setenv(VARIABLE, "numba_cpu")
    expected = r"numba_cpu cannot run a scan of torch.float64 on cpu.*numba_cpu: does not take.*reference: available"
    with pytest.raises(RuntimeError, match=f"(?s){expected}"):
        selective_scan(*make_operands(dtype=torch.float64))


def test_refusals_name_the_reason():
    backend = ScanBackend("numba_cpu", frozenset({torch.float32}), frozenset({"cuda"}))
    assert backend.refusal(torch.zeros(1)) == "runs on cuda, not on cpu"
    backend = ScanBackend("numba_cpu", frozenset({torch.float32}), requires="no_such_module")
    assert backend.refusal(torch.zeros(1)) == "no_such_module is not installed"
    assert BACKENDS["numba_cpu"].refusal(torch.zeros(1).double()) == "does not take torch.float64"


def test_the_choice_is_logged_once(caplog, make_operands):
    with caplog.at_level(logging.INFO, logger="nnunet_mamba"):
        for _ in range(3):
            selective_scan(*make_operands())
    assert [record.getMessage() for record in caplog.records] == ["selective scan on cpu: numba_cpu"]


def test_a_backend_with_a_wrong_output_is_not_used(replaced_kernels, make_operands):
    replaced_kernels(forward=lambda x: reference.forward(x) * 1.01)
    x = make_operands(length=70)
    assert "relative error 1.0e-02 in y" in BACKENDS["numba_cpu"].refusal(x.u)
    assert torch.equal(selective_scan(*x), reference.forward(x))


def test_a_backend_with_wrong_saved_states_is_not_used(replaced_kernels):
    replaced_kernels(forward_saving=lambda x: (reference.forward(x), torch.zeros_like(reference.forward_saving(x)[1])))
    assert "relative error 1.0e+00 in states" in BACKENDS["numba_cpu"].refusal(torch.zeros(1))


def test_a_backend_with_one_wrong_gradient_is_not_used(replaced_kernels):
    def backward(dy, x, states):
        *others, dz, dbias = reference.backward(dy, x, states)
        return *others, dz * float("nan"), dbias

    replaced_kernels(backward=backward)
    assert "relative error nan in dz" in BACKENDS["numba_cpu"].refusal(torch.zeros(1))


def test_a_backend_that_fails_is_not_used_and_says_why(monkeypatch, replaced_kernels, make_operands):
    def forward(x):
        raise OSError("no space left")

    replaced_kernels(forward=forward)
    monkeypatch.setenv(VARIABLE, "numba_cpu")
    with pytest.raises(RuntimeError, match="numba_cpu: its test run failed: OSError: no space left"):
        selective_scan(*make_operands())


def test_a_lack_of_memory_in_the_test_run_is_told_and_passes(monkeypatch, make_operands):
    x = make_operands()

    def forward(x):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(numba_cpu, "forward_saving", forward)
        with pytest.raises(torch.OutOfMemoryError):
            selective_scan(*x)
    assert choose_backend(x.u).name == "numba_cpu"


def test_a_backend_that_is_not_deterministic_is_refused_where_torch_must_be():
    backend = ScanBackend("reference", frozenset({torch.float32}), is_deterministic=False)
    assert backend.refusal(torch.zeros(1)) is None
    torch.use_deterministic_algorithms(True)
    try:
        assert "use_deterministic_algorithms(True) forbids" in backend.refusal(torch.zeros(1))
        assert BACKENDS["numba_cpu"].refusal(torch.zeros(1)) is None
    finally:
        torch.use_deterministic_algorithms(False)
    assert [one.name for one in BACKENDS.values() if not one.is_deterministic] == ["mamba_ssm_cuda"]


class _Timed:
    """The reference, which takes as long as it is told."""

    def __init__(self, ms):
        self._ms = ms
        self.forward, self.forward_saving = reference.forward, reference.forward_saving
        self.n_backward = 0

    def backward(self, dy, x, *saved):
        self.n_backward += 1
        if x.u.shape == SHAPE[:3]:
            time.sleep(self._ms / 1e3)
            return (None,) * 8
        return reference.backward(dy, x)


@pytest.fixture
def rivals(monkeypatch):
    """Two backends for the CPU that take so many ms for a backward pass of the size at which they are timed."""

    def make(first_ms, second_ms):
        monkeypatch.setattr(backend_speed, "_REPEATS", 3)
        rows = {name: ScanBackend(name, frozenset({torch.float32})) for name in ("first", "second")}
        rows["first"] = replace(rows["first"], rival="second")
        monkeypatch.setattr(backends, "BACKENDS", rows)
        timed = {"first": _Timed(first_ms), "second": _Timed(second_ms)}
        for one in timed.values():
            one.forward_saving = lambda x: (x.u, x.u) if x.u.shape == SHAPE[:3] else reference.forward_saving(x)
        monkeypatch.setattr(backends, "_load", timed.get)
        return timed

    return make


@pytest.mark.parametrize(("first_ms", "second_ms", "expected"), [(1, 20, "first"), (20, 1, "second")])
def test_of_two_rivals_the_faster_one_is_used(rivals, caplog, first_ms, second_ms, expected):
    timed = rivals(first_ms, second_ms)
    with caplog.at_level(logging.INFO, logger="nnunet_mamba"):
        assert choose_backend(torch.zeros(1, 1, 1)).name == expected
    assert "both passes of (2, 512, 1024, 16): first " in caplog.text
    before = timed["first"].n_backward
    assert choose_backend(torch.zeros(1, 1, 1)).name == expected
    assert timed["first"].n_backward == before, "they are timed once a process"


def test_a_rival_that_is_as_fast_is_used_because_its_results_repeat(monkeypatch, rivals):
    rivals(1, 1)
    monkeypatch.setattr(backends, "times_of", lambda *_: {"first": 0.96, "second": 1.0})
    assert choose_backend(torch.zeros(1, 1, 1)).name == "second"


def test_a_rival_that_cannot_run_is_not_timed(monkeypatch, rivals):
    timed = rivals(20, 1)
    monkeypatch.setitem(backends.BACKENDS, "second", replace(backends.BACKENDS["second"], dtypes=frozenset()))
    assert choose_backend(torch.zeros(1, 1, 1)).name == "first"
    assert timed["second"].n_backward == 0


def test_where_nothing_can_be_timed_the_choice_stays_the_same(monkeypatch, rivals, caplog):
    def no_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    rivals(1, 20)
    with monkeypatch.context() as patched, caplog.at_level(logging.INFO, logger="nnunet_mamba"):
        patched.setattr(backends, "times_of", no_memory)
        assert choose_backend(torch.zeros(1, 1, 1)).name == "second"
    assert "as nothing could be timed: CUDA out of memory" in caplog.text
    assert choose_backend(torch.zeros(1, 1, 1)).name == "second"


def test_a_forced_backend_is_not_timed(monkeypatch, rivals):
    timed = rivals(20, 1)
    monkeypatch.setenv(VARIABLE, "first")
    assert choose_backend(torch.zeros(1, 1, 1)).name == "first"
    assert timed["second"].n_backward == 0


def test_the_probe_leaves_the_random_state_alone(make_operands):
    x = make_operands()
    before = torch.get_rng_state()
    selective_scan(*x)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("named", "allowed"),
    [(None, True), ("", True), ("triton_gpu", True), ("mamba_ssm_cuda", False), ("reference", False)],
)
def test_fused_kernels_of_a_gpu_are_used_unless_another_backend_is_named(monkeypatch, named, allowed):
    if named is not None:
        monkeypatch.setenv(VARIABLE, named)
    monkeypatch.setattr(backends, "_probe_failure", lambda name, device: None)
    monkeypatch.setattr(backends, "_installed", lambda module: True)
    assert triton_is_allowed(torch.device("cuda", 0)) is allowed
    monkeypatch.setattr(backends, "_probe_failure", lambda name, device: "no such instruction")
    assert not triton_is_allowed(torch.device("cuda", 0))


def test_a_gpu_that_is_not_there_has_no_fused_kernels(forgetful):
    if not torch.cuda.is_available():
        assert not triton_is_allowed(torch.device("cuda", 0))
