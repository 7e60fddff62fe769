import math

import pytest
import torch
from torch.nn import functional

from nnunet_mamba.blocks.mamba import Mamba


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture
def mamba():
    return Mamba(6)


def test_token_depends_only_on_tokens_before_it(mamba):
    tokens = torch.randn(2, 20, 6)
    changed = tokens.clone()
    changed[:, 12:] += 1

    with torch.no_grad():
        difference = (mamba(tokens) - mamba(changed)).abs().amax(dim=(0, 2))

    assert not difference[:12].any()
    assert difference[12:].all()


def test_autocast_changes_nothing(mamba):
    tokens = torch.randn(2, 20, 6, requires_grad=True)
    expected = mamba(tokens)
    expected.square().sum().backward()
    expected_gradients = [parameter.grad.clone() for parameter in mamba.parameters()]
    mamba.zero_grad()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = mamba(tokens)
    result.square().sum().backward()

    assert result.dtype == torch.float32
    assert torch.equal(result, expected)
    for parameter, gradient in zip(mamba.parameters(), expected_gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_tokens_are_widened(mamba, dtype):
    tokens = torch.randn(2, 20, 6).to(dtype)

    with torch.no_grad():
        result = mamba(tokens)
        expected = mamba(tokens.float())

    assert result.dtype == torch.float32
    assert torch.equal(result, expected)


def test_float64_stays_float64(mamba):
    tokens = torch.randn(1, 9, 6, dtype=torch.float64)

    with torch.no_grad():
        single = mamba(tokens.float())
        double = mamba.double()(tokens)

    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-5, atol=1e-6)


def test_strided_tokens_give_the_same_result(mamba):
    tokens = torch.randn(6, 20, 2).permute(2, 1, 0)

    with torch.no_grad():
        assert torch.equal(mamba(tokens), mamba(tokens.contiguous()))


def test_initial_step_sizes_lie_between_a_thousandth_and_a_tenth():
    steps = functional.softplus(Mamba(200).dt_proj.bias)

    assert 1e-3 * 0.999 <= steps.min() < 2e-3
    assert 5e-2 < steps.max() <= 1e-1 * 1.001


def test_initial_state_space_is_the_published_one(mamba):
    assert torch.equal(mamba.A_log, torch.arange(1, 17).float().log().expand(12, 16))
    assert torch.equal(mamba.D, torch.ones(12))
    assert mamba.dt_proj.weight.abs().max() <= 1


def test_time_constants_and_skip_refuse_weight_decay(mamba):
    marked = {name for name, parameter in mamba.named_parameters() if getattr(parameter, "_no_weight_decay", False)}

    assert marked == {"A_log", "D"}


@pytest.mark.parametrize("d_model", [16, 17])
def test_automatic_rank_of_the_step_size_is_a_sixteenth_of_the_width(d_model):
    assert Mamba(d_model).dt_proj.in_features == math.ceil(d_model / 16)


def test_compiles_into_one_graph_under_autocast(mamba):
    tokens = torch.randn(2, 20, 6)
    compiled = torch.compile(mamba, backend="eager", fullgraph=True)

    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(compiled(tokens), mamba(tokens))


def test_runs_on_the_meta_device():
    with torch.device("meta"):
        assert Mamba(6)(torch.empty(2, 20, 6)).shape == (2, 20, 6)


@pytest.mark.parametrize("name", ["d_state", "d_conv", "expand", "dt_rank"])
def test_refuses_sizes_below_one(name):
    with pytest.raises(ValueError, match=f"{name}=0, expected a positive integer"):
        Mamba(4, **{name: 0})


@pytest.mark.parametrize("shape", [(2, 6, 20), (20, 6), (2, 6, 4, 5)])
def test_refuses_tokens_of_another_width_or_rank(mamba, shape):
    with pytest.raises(
        ValueError, match=r"tokens of shape .* expected \(b, l, 6\): n_parallel = 1 chunks of d_model = 6"
    ):
        mamba(torch.zeros(shape))


def test_parallel_chunks_are_mixed_each_by_itself(mamba):
    tokens = torch.randn(2, 70, 18)

    with torch.no_grad():
        together = mamba(tokens, n_parallel=3)
        alone = torch.cat([mamba(chunk) for chunk in tokens.chunk(3, dim=2)], dim=2)

    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6)


def test_refuses_tokens_that_are_not_the_chunks(mamba):
    with pytest.raises(ValueError, match=r"expected \(b, l, 18\): n_parallel = 3"):
        mamba(torch.zeros(2, 5, 6), n_parallel=3)


def test_reverse_sees_the_tokens_after_each_one(mamba):
    tokens = torch.randn(2, 70, 12)

    with torch.no_grad():
        backward = mamba(tokens, n_parallel=2, reverse=True)
        expected = mamba(tokens.flip(1), n_parallel=2).flip(1)

    assert torch.equal(backward, expected)


@pytest.mark.parametrize("bias", [False, True])
def test_flipped_channels_are_those_of_each_chunk_and_are_flipped_back(bias):
    mamba = Mamba(6, bias=bias)
    tokens = torch.randn(2, 70, 12)

    def flip(tokens):
        return torch.cat([chunk.flip(2) for chunk in tokens.chunk(2, dim=2)], dim=2)

    with torch.no_grad():
        flipped = mamba(tokens, n_parallel=2, flip_channels=True)
        expected = flip(mamba(flip(tokens), n_parallel=2))

    torch.testing.assert_close(flipped, expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(flipped, mamba(tokens, n_parallel=2), rtol=0.1, atol=0.1)
