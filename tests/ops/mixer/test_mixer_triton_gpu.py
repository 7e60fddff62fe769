"""The Triton kernels in Triton's interpreter on the CPU."""

import importlib

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from nnunet_mamba.ops.mixer import composed, op
from nnunet_mamba.ops.mixer.operands import refusal, scan_states_shape
from nnunet_mamba.ops.scan.backends import VARIABLE

pytest.importorskip("triton", reason="triton is not installed")

# NumPy, which the interpreter computes with, warns of what the tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")


@pytest.fixture(autouse=True)
def _defined_by_the_reference(monkeypatch):
    """Let the definition scan in torch's operators, which nothing has to be compiled for."""
    monkeypatch.setenv(VARIABLE, "reference")


@pytest.fixture
def interpreted(triton_interpreted):
    """The kernels in Triton's interpreter."""
    return triton_interpreted("nnunet_mamba.ops.mixer.triton_gpu")


@pytest.fixture
def tiny_block(make_block):
    """A function that returns a block which the interpreter can compute in a second."""
    return lambda **sizes: make_block(**{"b": 1, "length": 5, "d_model": 2, "n": 2, **sizes})


@pytest.fixture
def assert_right(interpreted, assert_fused_right):
    return lambda x: assert_fused_right(interpreted, composed.forward, x)


@pytest.mark.parametrize("length", [1, 2, 32, 33])
def test_right_at_every_length(assert_right, tiny_block, length):
    assert_right(tiny_block(length=length))


@pytest.mark.parametrize(("d_model", "expand", "n"), [(1, 1, 1), (3, 1, 5), (5, 2, 3), (2, 9, 2)])
def test_right_at_every_width(assert_right, tiny_block, d_model, expand, n):
    assert_right(tiny_block(d_model=d_model, expand=expand, n=n))


@pytest.mark.parametrize("d_conv", [1, 2, 8])
@pytest.mark.parametrize("conv_bias", [True, False])
def test_right_for_every_convolution(assert_right, tiny_block, d_conv, conv_bias):
    assert_right(tiny_block(d_conv=d_conv, conv_bias=conv_bias, length=10))


def test_a_convolution_reaches_into_the_tile_before(interpreted, tiny_block):
    x = tiny_block(length=37, d_conv=8)
    torch.testing.assert_close(interpreted.forward(x), composed.forward(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rank", [2, 3])
def test_right_for_every_rank_of_the_step_size(assert_right, tiny_block, rank):
    assert_right(tiny_block(rank=rank))


@pytest.mark.parametrize("n_parallel", [1, 2])
@pytest.mark.parametrize("reverse", [False, True])
def test_right_for_parallel_chunks_in_both_orders(assert_right, tiny_block, n_parallel, reverse):
    assert_right(tiny_block(b=2, n_parallel=n_parallel, reverse=reverse))


def test_right_from_the_last_token_to_the_first_over_tiles(assert_right, tiny_block):
    assert_right(tiny_block(length=34, reverse=True))


@pytest.mark.parametrize("dt_bias", [-15.0, 60.0])
def test_right_for_tiny_and_huge_steps(assert_right, tiny_block, dt_bias):
    assert_right(tiny_block(dt_bias=dt_bias))


@pytest.mark.slow
@pytest.mark.parametrize("length", [64, 66, 130])
def test_right_where_the_scan_has_several_segments(assert_right, triton_interpreted, monkeypatch, tiny_block, length):
    scan = triton_interpreted("nnunet_mamba.ops.scan.triton_gpu")
    plans = importlib.import_module("nnunet_mamba.ops.scan.triton_plan")
    monkeypatch.setattr(plans, "_segment_lengths", lambda length: [64])
    for name in ("forward_plan", "backward_plan"):
        monkeypatch.setattr(scan, name, getattr(plans, name).__wrapped__)
    assert_right(tiny_block(length=length, n_parallel=2))


def test_the_second_scan_starts_from_the_saved_states(interpreted, triton_interpreted, make_operands):
    scan = triton_interpreted("nnunet_mamba.ops.scan.triton_gpu")
    x = make_operands(b=2, d=3, n=2, length=67)
    y, states = scan.forward_saving(x)
    torch.testing.assert_close(scan.forward_again(x, states), y, rtol=1e-6, atol=1e-6)
    # The states are what it knows of the tokens before.
    wrong = scan.forward_again(x, torch.zeros_like(states))
    assert torch.equal(wrong[..., :64], y[..., :64])
    assert not torch.allclose(wrong[..., 64:], y[..., 64:], rtol=0.01, atol=0.01)


def test_takes_operands_of_any_strides(interpreted, tiny_block):
    x = tiny_block(b=2, n_parallel=2)
    strided = x._replace(
        tokens=x.tokens.transpose(0, 1).contiguous().transpose(0, 1),
        **{name: getattr(x, name).mT.contiguous().mT for name in ("in_proj", "x_proj", "A_log", "out_proj")},
        D=torch.stack([x.D, x.D], 1)[:, 0],
    )
    assert torch.equal(interpreted.forward(strided), interpreted.forward(x))
    _, states = interpreted.forward_saving(x)
    dmixed = x.tokens[:, :1].expand_as(x.tokens)
    pairs = zip(
        interpreted.backward(dmixed, strided, states), interpreted.backward(dmixed.contiguous(), x, states), strict=True
    )
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("shape", [{"b": 0}, {"length": 0}], ids=str)
@pytest.mark.parametrize("conv_bias", [True, False])
def test_empty_tokens_give_empty_results(interpreted, tiny_block, shape, conv_bias):
    x = tiny_block(**shape, conv_bias=conv_bias)
    mixed, states = interpreted.forward_saving(x)
    gradients = interpreted.backward(mixed, x, states)
    assert mixed.shape == x.tokens.shape
    assert states.shape == scan_states_shape(x)
    for gradient, tensor in zip(gradients, x.tensors, strict=True):
        assert (gradient is None) == (tensor is None)
        assert gradient is None or (gradient.shape == tensor.shape and not gradient.any())


def test_nan_stays_in_its_sequence_and_after_its_token(interpreted, tiny_block):
    x = tiny_block(b=2, n_parallel=2, d_model=3, length=37)
    x.tokens[1, 30, 4] = float("nan")
    wrong = interpreted.forward(x).isnan()
    assert wrong[1, 30:, 3:].all()
    assert wrong.sum() == 7 * 3


@pytest.mark.parametrize(
    "operand", ["tokens", "in_proj", "conv", "conv_bias", "x_proj", "dt_proj", "dt_bias", "D", "out_proj"]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_come_out_where_the_definition_has_them(interpreted, tiny_block, operand, value):
    x = tiny_block(d_model=3, length=6)
    getattr(x, operand).view(-1)[4] = value
    assert torch.equal(interpreted.forward(x).isfinite(), composed.forward(x).isfinite())


def test_nan_in_the_incoming_gradient_comes_out(interpreted, tiny_block):
    x = tiny_block(b=2, length=9)
    _, states = interpreted.forward_saving(x)
    dmixed = torch.ones_like(x.tokens)
    dmixed[0, 6, 1] = float("nan")
    dtokens, *of_weights = interpreted.backward(dmixed, x, states)
    assert dtokens[0, :7].isnan().all()
    assert not dtokens[0, 7:].isnan().any()
    assert not dtokens[1].isnan().any()
    assert all(gradient.isnan().any() for gradient in of_weights)


def test_results_repeat_bit_by_bit_and_share_no_memory(interpreted, tiny_block):
    x = tiny_block(n_parallel=2)
    results = []
    for _ in range(2):
        mixed, states = interpreted.forward_saving(x)
        results.append((mixed, *interpreted.backward(x.tokens, x, states)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    memories = {result.untyped_storage().data_ptr() for result in results[0]}
    assert len(memories) == len(results[0])


def test_saves_the_states_of_the_scan(interpreted, tiny_block):
    x = tiny_block(b=2, n_parallel=2, length=65)
    _, states = interpreted.forward_saving(x)
    assert states.shape == scan_states_shape(x) == (4, 2, 2, 4)
    assert not states[:, 0].any()
    assert states[:, 1].all()


@pytest.mark.slow
def test_the_test_runs_of_the_operator_find_them_right(assert_right):
    for x in op._probes():
        assert_right(x)


@pytest.fixture
def on_fake_gpu(make_block):
    """A function that returns a block without numbers on a GPU that is not there."""
    with FakeTensorMode(allow_non_fake_inputs=True):

        def make(**sizes):
            x = make_block(**sizes)
            return x._make(torch.empty(one.shape, device="cuda") if isinstance(one, torch.Tensor) else one for one in x)

        yield make


def test_fake_kernels_know_what_a_gpu_saves(on_fake_gpu):
    x = on_fake_gpu(b=3, length=130, n_parallel=2)
    mixed, states = torch.ops.nnunet_mamba.mamba_mixer_saving(*x)
    assert mixed.shape == x.tokens.shape
    assert tuple(states.shape) == scan_states_shape(x)
    gradients = torch.ops.nnunet_mamba.mamba_mixer_backward(mixed, states, *x)
    assert [gradient.shape for gradient in gradients] == [tensor.shape for tensor in x.tensors]
    with pytest.raises(ValueError, match=r"states has shape .* \(b \* n_parallel, chunks of 64 tokens, n, d_inner\)"):
        torch.ops.nnunet_mamba.mamba_mixer_backward(mixed, states[..., None], *x)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"d_model": 33}, "d_inner = 66 is above 64"),
        ({"d_conv": 9}, "d_conv = 9 is above 8, the largest of the GPU's kernels"),
        ({"n": 65}, "n = 65 is above 64, the largest of the GPU's kernels"),
    ],
)
def test_large_blocks_are_composed(on_fake_gpu, change, reason):
    assert refusal(on_fake_gpu(**change)) == reason
