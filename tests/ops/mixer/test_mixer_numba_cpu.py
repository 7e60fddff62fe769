import pytest
import torch

from nnunet_mamba.ops.mixer import composed, numba_cpu
from nnunet_mamba.ops.mixer.operands import MambaOperands
from nnunet_mamba.ops.scan import backends, reference


@pytest.fixture
def assert_right(assert_fused_right):
    return lambda x: assert_fused_right(numba_cpu, composed.forward, x)


@pytest.mark.parametrize("length", [1, 2, 3, 63, 64, 65, 67, 300])
def test_right_at_every_length(assert_right, make_block, length):
    assert_right(make_block(length=length))


@pytest.mark.parametrize(("d_model", "expand"), [(1, 1), (3, 1), (8, 2), (9, 2), (16, 2), (17, 3), (32, 2)])
def test_right_at_every_width(assert_right, make_block, d_model, expand):
    assert_right(make_block(d_model=d_model, expand=expand))


@pytest.mark.parametrize("n", [1, 5, 16, 17, 33])
def test_right_for_every_state_size(assert_right, make_block, n):
    assert_right(make_block(n=n, d_model=9))


@pytest.mark.parametrize("d_conv", [1, 2, 7, 64])
@pytest.mark.parametrize("conv_bias", [True, False])
def test_right_for_every_convolution(assert_right, make_block, d_conv, conv_bias):
    assert_right(make_block(d_conv=d_conv, conv_bias=conv_bias, length=130))


@pytest.mark.parametrize("rank", [2, 5, 17])
def test_right_for_every_rank_of_the_step_size(assert_right, make_block, rank):
    assert_right(make_block(rank=rank, d_model=10))


@pytest.mark.parametrize("n_parallel", [2, 4])
@pytest.mark.parametrize("reverse", [False, True])
def test_right_for_parallel_chunks(assert_right, make_block, n_parallel, reverse):
    assert_right(make_block(n_parallel=n_parallel, d_model=5, reverse=reverse))


@pytest.mark.parametrize("length", [1, 3, 63, 64, 65, 67, 300])
def test_right_from_the_last_token_to_the_first(assert_right, make_block, length):
    assert_right(make_block(length=length, reverse=True))


@pytest.mark.parametrize("d_conv", [1, 7, 64])
def test_right_for_every_convolution_from_the_last_token_to_the_first(assert_right, make_block, d_conv):
    assert_right(make_block(d_conv=d_conv, length=130, d_model=17, reverse=True))


@pytest.mark.parametrize("run", [composed.forward, numba_cpu.forward])
def test_reverse_flips_the_tokens_and_flips_the_result_back(make_block, run):
    x = make_block(length=70, n_parallel=2)
    flipped = run(x._replace(tokens=x.tokens.flip(1))).flip(1)
    assert torch.equal(run(x._replace(reverse=True)), flipped)
    assert not torch.allclose(flipped, run(x), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("dt_bias", [-15.0, 3.0, 60.0])
def test_right_for_tiny_and_huge_steps(assert_right, make_block, dt_bias):
    assert_right(make_block(dt_bias=dt_bias))


def test_takes_tokens_of_any_strides(make_block):
    x = make_block(d_model=6, length=70)
    strided = x._replace(tokens=x.tokens.transpose(0, 1).contiguous().transpose(0, 1))
    assert torch.equal(numba_cpu.forward(strided), numba_cpu.forward(x))
    _, states = numba_cpu.forward_saving(x)
    dmixed = x.tokens[:, :1].expand_as(x.tokens)
    pairs = zip(
        numba_cpu.backward(dmixed, strided, states), numba_cpu.backward(dmixed.contiguous(), x, states), strict=True
    )
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("shape", [{"b": 0}, {"length": 0}], ids=str)
def test_empty_tokens_give_empty_results(make_block, shape):
    x = make_block(**shape)
    mixed, states = numba_cpu.forward_saving(x)
    gradients = numba_cpu.backward(mixed, x, states)
    assert mixed.shape == x.tokens.shape
    assert [gradient.shape for gradient in gradients] == [tensor.shape for tensor in x.tensors]
    assert not any(gradient.any() for gradient in gradients)


def test_nan_stays_in_its_sequence_and_after_its_token(make_block):
    x = make_block(b=2, n_parallel=2, d_model=3, length=70)
    x.tokens[1, 40, 4] = float("nan")
    wrong = numba_cpu.forward(x).isnan()
    assert wrong[1, 40:, 3:].all()
    assert wrong.sum() == 30 * 3


@pytest.mark.parametrize("operand", ["tokens", "in_proj", "conv", "x_proj", "dt_bias", "A_log", "D", "out_proj"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_come_out_where_the_definition_has_them(make_block, operand, value):
    x = make_block(length=70)
    getattr(x, operand).view(-1)[7] = value
    assert torch.equal(numba_cpu.forward(x).isfinite(), composed.forward(x).isfinite())


def test_nan_in_the_incoming_gradient_comes_out(make_block):
    x = make_block(length=70)
    _, states = numba_cpu.forward_saving(x)
    dmixed = torch.ones_like(x.tokens)
    dmixed[0, 20, 2] = float("nan")
    dtokens, *of_weights = numba_cpu.backward(dmixed, x, states)
    assert dtokens[0, :21].isnan().all()
    assert not dtokens[0, 21:].isnan().any()
    assert not dtokens[1].isnan().any()
    assert all(gradient.isnan().any() for gradient in of_weights)


def test_results_repeat_bit_by_bit_on_any_number_of_threads(make_block):
    x = make_block(b=3, n_parallel=2, length=130)
    before, results = torch.get_num_threads(), []
    for n_threads in (2, 2, 1):
        torch.set_num_threads(n_threads)
        mixed, states = numba_cpu.forward_saving(x)
        results.append((mixed, *numba_cpu.backward(x.tokens, x, states)))
    torch.set_num_threads(before)
    for again in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], again, strict=True))


def test_refuses_weights_of_another_dtype(make_block):
    x = make_block()
    with pytest.raises(
        TypeError, match=r"D is torch.float64 on cpu, expected torch.float32 on cpu like the other operands; convert it"
    ):
        numba_cpu.forward(x._replace(D=x.D.double()))


def test_the_reference_backend_proves_the_definition(make_block):
    # One token: the state is the update alone.
    x = make_block(b=1, length=1, d_conv=1, conv_bias=False)
    x = MambaOperands(*(None if tensor is None else tensor.double() for tensor in x.tensors))
    token = x.tokens[0, 0]
    u, z = (x.in_proj @ token).chunk(2)
    u = torch.nn.functional.silu(u * x.conv[:, 0, 0])
    dt, B, C = (x.x_proj @ u).split([1, 16, 16])
    step = torch.nn.functional.softplus(x.dt_proj @ dt + x.dt_bias)
    y = (step * u * (B @ C) + x.D * u) * torch.nn.functional.silu(z)
    assert backends.choose_backend(x.tokens).load() is reference
    torch.testing.assert_close(composed.forward(x)[0, 0], x.out_proj @ y, rtol=1e-12, atol=1e-12)
