import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.scan import numba_cpu, reference
from nnunet_mamba.ops.scan.backends import VARIABLE
from nnunet_mamba.ops.scan.operands import ScanOperands, grouped_alike

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = json.loads((GOLDEN / "selective_scan.json").read_text())["cases"]


def test_constant_operands_give_a_geometric_series():
    step, a, b, c, u, length = 0.3, -0.7, 1.5, -2.0, 0.8, 40
    constant = torch.full((1, 1, length), step, dtype=torch.float64)
    y = reference.forward(
        ScanOperands(
            u=torch.full_like(constant, u),
            delta=constant,
            A=torch.tensor([[a]], dtype=torch.float64),
            B=torch.full((1, 1, 1, length), b, dtype=torch.float64),
            C=torch.full((1, 1, 1, length), c, dtype=torch.float64),
            D=None,
            z=None,
            delta_bias=None,
            delta_softplus=False,
        )
    )
    decay = np.exp(step * a)
    expected = c * step * b * u * (1 - decay ** np.arange(1, length + 1)) / (1 - decay)
    np.testing.assert_allclose(y[0, 0].numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 128, 129])
def test_saved_states_are_those_before_every_64th_token(length):
    step, a, b, u = 0.03, -0.7, 1.5, 0.8
    constant = torch.ones(1, 1, length, dtype=torch.float64)
    operands = ScanOperands(
        u=u * constant,
        delta=step * constant,
        A=torch.tensor([[a]], dtype=torch.float64),
        B=b * constant[:, None],
        C=constant[:, None],
        D=None,
        z=None,
        delta_bias=None,
        delta_softplus=False,
    )

    y, states = reference.forward_saving(operands)

    n_before, decay = np.arange(0, length, 64), np.exp(step * a)
    assert states.shape == (1, len(n_before), 1, 1)
    np.testing.assert_allclose(states.flatten().numpy(), step * b * u * (1 - decay**n_before) / (1 - decay), rtol=1e-12)
    assert torch.equal(y, reference.forward(operands))


def test_one_token_has_no_memory(make_operands):
    x = make_operands(length=1, dtype=torch.float64, softplus=False)
    step = x.delta + x.delta_bias[:, None]
    expected = (step * x.u * (x.B * x.C).sum(2) + x.D[:, None] * x.u) * x.z * torch.sigmoid(x.z)
    torch.testing.assert_close(reference.forward(x), expected, rtol=1e-13, atol=1e-13)


def test_softplus_is_linear_above_twenty(make_operands):
    x = make_operands(dtype=torch.float64, without=("delta_bias",))._replace(delta=torch.full((2, 5, 9), 20.5).double())
    torch.testing.assert_close(
        reference.forward(x), reference.forward(x._replace(delta_softplus=False)), rtol=0, atol=0
    )


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("without", [(), ("D",), ("z",), ("delta_bias",), ("D", "z", "delta_bias")], ids="-".join)
def test_gradients_are_those_of_finite_differences(make_operands, groups, softplus, without):
    operands = make_operands(d=4, length=5, n=3, groups=groups, dtype=torch.float64, without=without, softplus=softplus)
    tensors = [None if x is None else x.requires_grad_() for x in operands.tensors]
    assert torch.autograd.gradcheck(lambda *given: selective_scan(*given, softplus), tensors)


@pytest.mark.parametrize("constant", [("B",), ("C",), ("B", "C")], ids="-".join)
def test_gradients_of_matrices_constant_in_time(make_operands, constant):
    operands = make_operands(d=4, length=5, n=3, groups=2, dtype=torch.float64)
    operands = operands._replace(**dict.fromkeys(constant, operands.A * 0.5 - 0.1))
    tensors = [x.detach().clone().requires_grad_() for x in operands.tensors]
    assert torch.autograd.gradcheck(lambda *given: selective_scan(*given, True), tensors)


def _golden(case):
    with np.load(GOLDEN / "selective_scan.npz") as stored:
        return {key.split("/", 1)[1]: torch.from_numpy(stored[key]) for key in stored if key.split("/", 1)[0] == case}


def _gradient_noise(stored, operands, softplus):
    """Return how far the reference's float32 gradients are from its float64 ones, by operand."""
    B, C = grouped_alike(operands["B"], operands["C"], *operands["u"].shape[::2])
    given = {name: operands.get(name) for name in ScanOperands._fields[:-1]} | {"B": B, "C": C}
    narrow = ScanOperands(**given, delta_softplus=softplus)
    gradients = reference.backward(stored["R"], narrow)
    exact = reference.backward(stored["R"].double(), narrow.to(torch.float64))
    noise = {}
    for name, gradient, right in zip(ScanOperands._fields, gradients, exact, strict=False):
        if gradient is not None:
            # A constant matrix's gradient is summed over batch and time, and its rounding with it.
            terms = gradient.numel() / operands[name].numel()
            noise[name] = (gradient.double() - right).abs().max().item() * terms
    return noise


@pytest.mark.parametrize("backend", ["reference", "numba_cpu"])
@pytest.mark.parametrize("case", CASES)
def test_equals_the_published_scan(monkeypatch, backend, case):
    monkeypatch.setenv(VARIABLE, backend)
    stored, described = _golden(case), CASES[case]
    operands = {name: stored[name].clone().requires_grad_() for name in described["operands"]}
    y = selective_scan(**operands, delta_softplus=described["delta_softplus"])
    (y * stored["R"]).sum().backward()

    error = (y - stored["output"]).abs().max().item()
    assert error <= 10 * described["fp32_vs_fp64_maxabs"]
    detached = {name: tensor.detach() for name, tensor in operands.items()}
    for name, noise in _gradient_noise(stored, detached, described["delta_softplus"]).items():
        error = (operands[name].grad - stored[f"grad/{name}"]).abs().max().item()
        assert error <= 10 * noise, f"d{name}: error {error:.1e}, rounding noise {noise:.1e}"


def test_float32_reference_keeps_its_tolerance(make_operands, assert_right):
    assert_right(reference, make_operands(length=200, groups=1))


@pytest.mark.parametrize("implementation", [reference, numba_cpu])
@pytest.mark.parametrize("shape", [{"b": 0}, {"length": 0}, {"n": 0}], ids=str)
def test_empty_operands_give_empty_results(make_operands, implementation, shape):
    x = make_operands(**shape)
    y = implementation.forward(x)
    gradients = implementation.backward(torch.ones_like(y), x)
    assert y.shape == x.u.shape
    assert [gradient.shape for gradient in gradients] == [operand.shape for operand in x.tensors]
    if 0 in x.u.shape:
        assert all(not gradient.any() for gradient in gradients)
    else:
        torch.testing.assert_close(y, x.D[:, None] * x.u * x.z * torch.sigmoid(x.z))
