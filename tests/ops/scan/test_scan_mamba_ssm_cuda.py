"""mamba_ssm's extension behind our contract: a stand-in checks how it is called, and computes with the reference."""

import importlib
import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch

from nnunet_mamba.ops import selective_scan
from nnunet_mamba.ops.scan import backends, reference
from nnunet_mamba.ops.scan.backends import BACKENDS, VARIABLE
from nnunet_mamba.ops.scan.operands import ScanOperands

_NAME = "nnunet_mamba.ops.scan.mamba_ssm_cuda"
_TOKENS_OF_A_CHUNK = 2048


def _chunks(length):
    return -(-length // _TOKENS_OF_A_CHUNK)


def _check(u, delta, A, B, C, D, z, delta_bias, delta_softplus):
    """Demand what the extension's C++ code demands of shapes, dtypes and strides."""
    b, d, length = u.shape
    n = A.shape[1]
    assert u.dtype in (torch.float32, torch.float16, torch.bfloat16)
    assert A.dtype == torch.float32
    assert A.shape == (d, n)
    assert n <= 256
    assert B.dim() == C.dim() == 4
    assert B.shape == C.shape == (b, B.shape[1], n, length)
    for tensor in (u, delta, B, C, z):
        if tensor is not None:
            assert tensor.dtype == u.dtype
            assert tensor.stride(-1) == 1 or tensor.shape[-1] == 1
    for tensor in (D, delta_bias):
        if tensor is not None:
            assert tensor.dtype == torch.float32
            assert tensor.shape == (d,)
            assert tensor.is_contiguous()
    assert delta.shape == (b, d, length)
    assert z is None or z.shape == (b, d, length)
    assert isinstance(delta_softplus, bool)


def _fwd(u, delta, A, B, C, D, z, delta_bias, delta_softplus):
    _check(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    x = ScanOperands(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    out = reference.forward(x._replace(z=None))
    chunk_ends = torch.zeros(*u.shape[:2], _chunks(u.shape[2]), 2 * A.shape[1])
    return [out, chunk_ends] if z is None else [out, chunk_ends, reference.forward(x)]


def _bwd(u, delta, A, B, C, D, z, delta_bias, dout, x, out, dz, delta_softplus, recompute_out_z):
    _check(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    assert dout.dtype == u.dtype
    assert dout.shape == u.shape
    assert dout.stride(-1) == 1 or dout.shape[-1] == 1
    assert x.shape == (*u.shape[:2], _chunks(u.shape[2]), 2 * A.shape[1])
    assert dz is None
    assert recompute_out_z is False
    operands = ScanOperands(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    if z is not None:
        # The extension takes the gradient of z from the output before the gate.
        torch.testing.assert_close(out, reference.forward(operands._replace(z=None)))
    else:
        assert out is None
    du, ddelta, dA, dB, dC, dD, dz, dbias = reference.backward(dout, operands)
    return [du, ddelta, dA, dB, dC, dD, dbias, *([] if z is None else [dz])]


@pytest.fixture
def extension(monkeypatch):
    module = ModuleType("selective_scan_cuda")
    module.fwd, module.bwd = _fwd, _bwd
    monkeypatch.setitem(sys.modules, "selective_scan_cuda", module)
    return module


@pytest.fixture
def mamba_ssm_cuda(extension):
    """The backend, imported with the stand-in."""
    sys.modules.pop(_NAME, None)
    yield importlib.import_module(_NAME)
    del sys.modules[_NAME]


@pytest.fixture
def chosen(mamba_ssm_cuda, monkeypatch):
    """Let the stand-in serve the CPU, forced by name, with nothing remembered of other tests."""
    remembered = (backends._installed, backends._load, backends._probe_failure, backends._log_choice)
    monkeypatch.setitem(BACKENDS, "mamba_ssm_cuda", replace(BACKENDS["mamba_ssm_cuda"], devices=None, requires=None))
    monkeypatch.setenv(VARIABLE, "mamba_ssm_cuda")
    for function in remembered:
        function.cache_clear()
    yield mamba_ssm_cuda
    for function in remembered:
        function.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_right_in_every_dtype(mamba_ssm_cuda, make_operands, assert_right, dtype):
    assert_right(mamba_ssm_cuda, make_operands(d=6, groups=2, dtype=dtype))


@pytest.mark.parametrize("without", [("D",), ("z",), ("delta_bias",), ("D", "z", "delta_bias")], ids="-".join)
def test_right_without_optional_operands(mamba_ssm_cuda, make_operands, assert_right, without):
    assert_right(mamba_ssm_cuda, make_operands(without=without))


def test_right_without_softplus_and_over_several_chunks(mamba_ssm_cuda, make_operands, assert_right):
    assert_right(mamba_ssm_cuda, make_operands(b=1, n=1, length=2050, softplus=False, without=("D", "delta_bias")))


def test_converts_mixed_dtypes_and_gives_gradients_back_in_them(mamba_ssm_cuda, make_operands):
    x = make_operands()
    x = x._replace(u=x.u.half(), A=x.A.bfloat16(), C=x.C.half(), D=x.D.half())
    assert mamba_ssm_cuda.forward(x).dtype == torch.float16
    for gradient, operand in zip(mamba_ssm_cuda.backward(x.u, x), x.tensors, strict=True):
        assert gradient.dtype == operand.dtype
        assert gradient.shape == operand.shape


def test_lays_tokens_out_as_the_extension_wants_them(mamba_ssm_cuda, make_operands, assert_right):
    x = make_operands(d=6)
    x = x._replace(
        u=x.u.transpose(1, 2).contiguous().transpose(1, 2),
        B=x.B.transpose(2, 3).contiguous().transpose(2, 3),
        D=x.D[:1].expand(6),
        delta_bias=torch.stack([x.delta_bias] * 2, 1)[:, 0],
    )
    assert_right(mamba_ssm_cuda, x)
    mamba_ssm_cuda.backward(x.u[:1, :1, :1].expand_as(x.u), x)


@pytest.mark.parametrize("shape", [{"b": 0}, {"length": 0}, {"d": 0}, {"n": 0}], ids=str)
def test_empty_scans_do_not_reach_the_extension(mamba_ssm_cuda, extension, make_operands, shape):
    extension.fwd = extension.bwd = None
    x = make_operands(**shape)
    torch.testing.assert_close(mamba_ssm_cuda.forward(x), reference.forward(x))
    for gradient, right in zip(mamba_ssm_cuda.backward(x.u, x), reference.backward(x.u, x), strict=True):
        torch.testing.assert_close(gradient, right)


def test_too_many_states_are_an_error_that_tells_what_to_do(mamba_ssm_cuda, make_operands):
    with pytest.raises(RuntimeError, match=r"at most 256 states .* found 257 .* set NNUNET_MAMBA_SCAN=triton_gpu"):
        mamba_ssm_cuda.forward(make_operands(b=1, d=1, n=257, length=1))


@pytest.mark.parametrize("name", ["u", "B", "C", "z"])
def test_tensors_that_span_more_than_its_offsets_reach_are_refused(mamba_ssm_cuda, make_operands, name):
    x = make_operands(b=2, d=1, n=1, length=4)
    tensor = getattr(x, name)
    # Two batch entries that lie 2^32 numbers apart, of which no memory is ever touched.
    far = torch.empty_strided(tensor.shape, (2**32, *tensor.stride()[1:]), device="meta")
    with pytest.raises(RuntimeError, match=r"tensors that span 4294967296 numbers, found 1 and 429496730\d;"):
        mamba_ssm_cuda._arguments(x._replace(**{name: far}))


@pytest.mark.parametrize("without", [(), ("z",)], ids=["gated", "without gate"])
def test_saves_what_the_extension_needs_and_runs_it_once_each_way(chosen, extension, make_operands, without):
    x = make_operands(length=70, dtype=torch.float16, without=without)
    calls = []
    extension.fwd = lambda *given: calls.append("fwd") or _fwd(*given)
    extension.bwd = lambda *given: calls.append("bwd") or _bwd(*given)
    BACKENDS["mamba_ssm_cuda"].refusal(x.u)
    calls.clear()

    saved = chosen.forward_saving(x)[1:]

    assert [(tensor.shape, tensor.dtype) for tensor in saved] == [*chosen.saved_kinds(x)]
    leaves = [None if tensor is None else tensor.requires_grad_() for tensor in x.tensors]
    selective_scan(*leaves, x.delta_softplus).sum().backward()
    assert calls == ["fwd", "fwd", "bwd"]


def test_is_a_correct_torch_operator(chosen, make_operands):
    ours = torch.ops.nnunet_mamba
    x = make_operands(d=4, length=70, n=2, groups=2)
    _, *saved = ours.selective_scan_saving(*x)
    assert [tensor.shape for tensor in saved] == [(2, 4, 1, 4), (2, 4, 70)]
    for given in ([None, None], saved):
        torch.library.opcheck(ours.selective_scan_backward.default, (torch.ones_like(x.u), *given, *x))
    torch.library.opcheck(ours.selective_scan_saving.default, (*(one.requires_grad_() for one in x.tensors), True))


def test_states_of_another_backend_are_refused(chosen, make_operands):
    x = make_operands(length=70)
    states = reference.forward_saving(x)[1]
    with pytest.raises(ValueError, match="states has shape"):
        torch.ops.nnunet_mamba.selective_scan_backward(x.u, states, x.u, *x)


def test_the_probe_accepts_it(chosen, make_operands):
    x = make_operands(length=70)
    assert BACKENDS["mamba_ssm_cuda"].refusal(x.u) is None
    torch.testing.assert_close(selective_scan(*x), reference.forward(x))


def test_autograd_runs_through_it(chosen, make_operands):
    x = make_operands(length=70)
    leaves = [tensor.requires_grad_() for tensor in x.tensors]
    y = selective_scan(*leaves, x.delta_softplus)
    gradients = torch.autograd.grad(y, leaves, torch.ones_like(y))
    expected = reference.backward(torch.ones_like(y), ScanOperands(*(leaf.detach() for leaf in leaves), True))
    for gradient, right in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, right)


def test_the_probe_refuses_gradients_that_are_wrong_where_they_start_from_what_was_saved(
    chosen, monkeypatch, make_operands
):
    right = chosen.backward

    def backward(dy, x, *saved):
        return tuple(gradient * (1.01 if saved else 1) for gradient in right(dy, x))

    monkeypatch.setattr(chosen, "backward", backward)
    assert "relative error 1.0e-02 in du" in BACKENDS["mamba_ssm_cuda"].refusal(make_operands().u)


def test_an_extension_with_other_arguments_is_refused(chosen, extension, make_operands):
    extension.fwd = lambda u, delta, A, B, C, D, delta_bias, delta_softplus: None
    refusal = BACKENDS["mamba_ssm_cuda"].refusal(make_operands().u)
    assert "selective_scan_cuda.fwd does not take the arguments of mamba_ssm's own; install mamba_ssm again" in refusal


def test_without_the_extension_it_is_refused(make_operands):
    backends._installed.cache_clear()
    if backends._installed("selective_scan_cuda"):
        pytest.skip("selective_scan_cuda is installed")
    row = replace(BACKENDS["mamba_ssm_cuda"], devices=None)
    assert row.refusal(make_operands().u) == "selective_scan_cuda is not installed"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_right_on_a_gpu(make_operands, assert_right, dtype):
    pytest.importorskip("selective_scan_cuda", reason="mamba_ssm's extension is not installed")
    x = make_operands(d=64, n=16, length=2100, dtype=dtype)
    on_gpu = (None if tensor is None else tensor.cuda() for tensor in x.tensors)
    assert_right(importlib.import_module(_NAME), ScanOperands(*on_gpu, x.delta_softplus))
