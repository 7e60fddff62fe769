import math

import pytest
import torch

from nnunet_mamba.blocks.attention_bridge import AttentionBridge

CHANNELS = (4, 6, 8)


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture
def levels():
    return [torch.randn(2, c, 16 // 2**i, 8 // 2**i) for i, c in enumerate(CHANNELS)]


def test_convolution_heads_equal_linear_heads_of_the_same_weights(levels):
    linear = AttentionBridge(CHANNELS, split_att="fc")
    convolution = AttentionBridge(CHANNELS, split_att="conv")
    shapes = {key: value.shape for key, value in convolution.state_dict().items()}
    convolution.load_state_dict({key: value.reshape(shapes[key]) for key, value in linear.state_dict().items()})

    with torch.no_grad():
        for ours, expected in zip(convolution(levels), linear(levels), strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


def test_the_weights_of_positions_and_of_channels_come_in_where_the_paper_has_them(levels):
    bridge = AttentionBridge(CHANNELS)
    for parameter in bridge.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(bridge.spatial.conv.bias, math.log(0.2 / 0.8))
    for head in bridge.channel.heads:
        torch.nn.init.constant_(head.bias, math.log(0.7 / 0.3))

    # With spatial weights of 0.2 and channel weights of 0.7: residuals of 1.2 of each level, and 0.2 of it once more.
    with torch.no_grad():
        for refined, level in zip(bridge(levels), levels, strict=True):
            torch.testing.assert_close(refined, (1.2 * 0.7 + 0.2) * level, rtol=1e-5, atol=1e-6)


def test_every_level_sees_every_other(levels):
    bridge = AttentionBridge(CHANNELS)
    for level in levels:
        level.requires_grad_()

    for refined in bridge(levels):
        gradients = torch.autograd.grad(refined.sum(), levels, retain_graph=True)
        assert all(gradient.any() for gradient in gradients)


def test_cases_of_a_batch_do_not_see_each_other(levels):
    bridge = AttentionBridge(CHANNELS)

    with torch.no_grad():
        first = bridge([level[:1] for level in levels])
        for refined, expected in zip(bridge(levels), first, strict=True):
            torch.testing.assert_close(refined[:1], expected, rtol=1e-5, atol=1e-6)


def test_refuses_an_unknown_head():
    with pytest.raises(ValueError, match="split_att='linear', expected 'fc' or 'conv'"):
        AttentionBridge(CHANNELS, split_att="linear")
