import logging
from types import SimpleNamespace

import pytest
import torch

from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.scan import backends, numba_cpu, reference
from nnunet_mamba.ops.scan.backends import BACKENDS, VARIABLE, ScanBackend, choose_backend


@pytest.fixture(autouse=True)
def _forgetful():
    """Let each test make the choice, the probe and the log line for the first time."""
    all_remembered = (backends._installed, backends._load, backends._probe_failure, backends._log_choice)
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


def test_the_probe_leaves_the_random_state_alone(make_operands):
    x = make_operands()
    before = torch.get_rng_state()
    selective_scan(*x)
    assert torch.equal(torch.get_rng_state(), before)
