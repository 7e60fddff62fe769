import math
from types import SimpleNamespace

import pytest
import torch

from nnunet_mamba.ops.scan import backends, reference, survey
from nnunet_mamba.ops.scan.backends import BACKENDS, VARIABLE, ScanBackend
from nnunet_mamba.ops.scan.operands import TENSOR_NAMES


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(survey, "ERROR_SHAPE", (2, 4, 9, 3))
    monkeypatch.setattr(survey, "SPEED_SHAPE", (1, 2, 5, 3))


@pytest.fixture
def surveyed(monkeypatch):
    """Survey one fake backend beside the reference; it passes its test scan whatever it does."""

    def measure(refusal=None, seed=0, **functions):
        names = ("forward", "forward_saving", "backward")
        fake = SimpleNamespace(**{name: getattr(reference, name) for name in names} | functions)
        backend = ScanBackend("fake", frozenset({torch.float32}))
        monkeypatch.setattr(backends, "_load", {"fake": fake, "reference": reference}.get)
        monkeypatch.setattr(backends, "_probe_failure", lambda name, device: refusal if name == "fake" else None)
        monkeypatch.setattr(survey, "BACKENDS", {"fake": backend, "reference": BACKENDS["reference"]})
        return {row.backend: row for row in survey.measure_backends(seed)}

    return measure


def test_measures_every_backend_on_every_device(surveyed):
    rows = surveyed()
    assert list(rows) == ["fake", "reference"]
    for row in rows.values():
        assert row.device == "cpu"
        assert row.refusal is None
        assert 0 < row.error < 1e-6
        assert 0 < row.gradient_error < 1e-6
        assert row.forward > 0
        assert row.forward_backward > 0


def test_another_seed_is_another_scan(surveyed):
    first, again, other = (surveyed(seed=seed)["fake"].error for seed in (0, 0, 1))
    assert first == again != other


def test_a_wrong_output_shows(surveyed):
    def forward_saving(x):
        y, states = reference.forward_saving(x)
        return y * 1.01, states

    assert surveyed(forward_saving=forward_saving)["fake"].error == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("factor", [1.1, float("nan")])
def test_the_worst_gradient_is_named(surveyed, factor):
    def backward(dy, x, states=None):
        gradients = dict(zip(TENSOR_NAMES, reference.backward(dy, x), strict=True))
        gradients["u"] = gradients["u"] * 1.01
        gradients["z"] = gradients["z"] * factor
        return tuple(gradients.values())

    row = surveyed(backward=backward)["fake"]
    assert row.worst_gradient == "z"
    assert row.gradient_error == pytest.approx(factor - 1, rel=1e-3, nan_ok=True)
    assert not math.isnan(row.error)


def test_a_refused_backend_has_its_reason_and_no_measurement(surveyed):
    row = surveyed(refusal="its test scan failed")["fake"]
    assert row == survey.Measurement(backend="fake", device="cpu", refusal="its test scan failed")


def test_a_backend_that_fails_later_is_reported_like_a_refused_one(surveyed):
    def backward(dy, x, states=None):
        raise RuntimeError("out of memory")

    rows = surveyed(backward=backward)
    assert rows["fake"].refusal == "RuntimeError: out of memory"
    assert rows["reference"].refusal is None


def test_times_are_medians_in_nanoseconds_per_number(surveyed, monkeypatch):
    clock = [0.0]
    durations = {"forward": [1e-6] * 8 + [9.0] * 8, "both": [3e-6] * 16}

    def spend(what):
        clock[0] += durations[what].pop()

    def forward(x):
        spend("forward")

    def forward_saving(x):
        if x.u.shape == (1, 2, 5):  # not the scan for the errors
            spend("both")
        return reference.forward_saving(x)

    monkeypatch.setattr(survey.time, "perf_counter", lambda: clock[0])
    row = surveyed(forward=forward, forward_saving=forward_saving)["fake"]
    assert row.forward == pytest.approx(100)
    assert row.forward_backward == pytest.approx(300)
    assert durations == {"forward": [], "both": []}, "one run that is not counted, and the repeats"


def test_the_same_seed_gives_the_same_scan_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    first, again, other = (survey.random_operands((1, 4, 5, 3), groups=2, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.B.shape == (1, 2, 3, 5)
    assert all(torch.equal(a, b) for a, b in zip(first.tensors, again.tensors, strict=True))
    assert not torch.equal(first.u, other.u)


def test_choices_respect_the_variable(monkeypatch):
    chosen = {choice.dtype: choice for choice in survey.choices() if choice.device == "cpu"}
    assert chosen["float32"].backend == "numba_cpu"
    assert chosen["float64"].backend == "reference"
    monkeypatch.setenv(VARIABLE, "numba_cpu")
    chosen = {choice.dtype: choice for choice in survey.choices() if choice.device == "cpu"}
    assert chosen["bfloat16"].backend == "numba_cpu"
    assert chosen["float64"].backend is None
    assert "does not take torch.float64" in chosen["float64"].problem
