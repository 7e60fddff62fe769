import pytest
import torch
from torch import nn

from nnunet_mamba.blocks.mamba import Mamba
from nnunet_mamba.blocks.vim_mixer import VimMixer


@pytest.fixture
def mixer():
    torch.manual_seed(0)
    mixer = VimMixer(12, d_state=3).double()
    for parameter in mixer.parameters():
        nn.init.normal_(parameter, std=0.4)
    return mixer


def blocks_of(mixer):
    """Two Mamba blocks with the weights of the mixer's directions and both of its projections."""
    forward, backward = (Mamba(12, d_state=3).double() for _ in range(2))
    weights = mixer.state_dict()
    own = {"conv1d", "x_proj", "dt_proj"}
    forward.load_state_dict({key: weights[key] for key in forward.state_dict()})
    renamed = {"A_log": "A_b_log", "D": "D_b"}
    for key in list(backward.state_dict()):
        layer, dot, rest = key.partition(".")
        name = f"{layer}_b{dot}{rest}" if layer in own else renamed.get(key, key)
        backward.load_state_dict({key: weights[name]}, strict=False)
    return forward, backward


@pytest.mark.parametrize("n_tokens", [1, 3, 17])
@pytest.mark.parametrize("halve", [True, False])
def test_is_two_mamba_blocks_that_share_their_projections(mixer, n_tokens, halve):
    mixer.halve = halve
    forward, backward = blocks_of(mixer)
    tokens = torch.randn(2, n_tokens, 12, dtype=torch.float64)

    summed = forward(tokens) + backward(tokens, reverse=True)

    torch.testing.assert_close(mixer(tokens), summed / 2 if halve else summed)


def test_every_weight_gets_the_gradient_that_two_blocks_give_it(mixer):
    forward, backward = blocks_of(mixer)
    tokens = torch.randn(2, 9, 12, dtype=torch.float64)
    towards = torch.randn(2, 9, 12, dtype=torch.float64)

    (mixer(tokens) * towards).sum().backward()
    ((forward(tokens) + backward(tokens, reverse=True)) / 2 * towards).sum().backward()

    for name in ("in_proj.weight", "out_proj.weight"):
        shared = forward.get_parameter(name).grad + backward.get_parameter(name).grad
        torch.testing.assert_close(mixer.get_parameter(name).grad, shared)
    for name, ours in (("A_log", "A_log"), ("dt_proj.bias", "dt_proj.bias")):
        torch.testing.assert_close(mixer.get_parameter(ours).grad, forward.get_parameter(name).grad)
    for name, ours in (("A_log", "A_b_log"), ("D", "D_b"), ("conv1d.bias", "conv1d_b.bias")):
        torch.testing.assert_close(mixer.get_parameter(ours).grad, backward.get_parameter(name).grad)


def test_begins_with_the_published_values():
    torch.manual_seed(0)
    mixer = VimMixer(64)
    step = nn.functional.softplus(mixer.dt_proj.bias)

    for A_log, D in ((mixer.A_log, mixer.D), (mixer.A_b_log, mixer.D_b)):
        torch.testing.assert_close(A_log, torch.arange(1.0, 17).log().expand(128, 16))
        assert torch.equal(D, torch.ones(128))
    assert 0.0009 < step.min() < 0.003 < 0.04 < step.max() < 0.11
    assert not mixer.dt_proj_b.bias.any()
    assert 0.45 < mixer.dt_proj_b.weight.abs().max() <= 4**-0.5


def test_state_is_not_decayed_and_autocast_is_left(mixer):
    marked = {name for name, parameter in mixer.named_parameters() if getattr(parameter, "_no_weight_decay", False)}
    assert marked == {"A_log", "D", "A_b_log", "D_b"}
    tokens = torch.randn(1, 5, 12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = mixer.float()(tokens.bfloat16())
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, mixer(tokens.bfloat16().float()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"d_model": 0}, "d_model=0, expected a positive"), ({"d_model": 8, "halve": 1}, "halve=1, expected True or")],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        VimMixer(**arguments)


def test_refuses_tokens_of_another_width(mixer):
    with pytest.raises(ValueError, match=r"tokens of shape \(1, 5, 6\), expected \(b, l, 12\)"):
        mixer(torch.randn(1, 5, 6))
