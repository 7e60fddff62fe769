import pytest
import torch

from nnunet_mamba.blocks.baselines.dilated_gated_attention import DilatedGatedAttention


def test_quarters_of_the_channels_see_neighbourhoods_from_wide_to_narrow():
    layer = DilatedGatedAttention(8, 12)
    x = torch.randn(1, 8, 31, 31, requires_grad=True)
    seen = []
    layer.norm.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))

    assert layer(x).shape == (1, 12, 31, 31)

    for channel in range(8):
        (gradient,) = torch.autograd.grad(seen[0][0, channel, 15, 15], x, retain_graph=True)
        channels, rows, columns = gradient[0].nonzero().T
        dilation = (7, 5, 2, 1)[channel // 2]
        assert channels.unique().tolist() == [channel]
        assert rows.unique().tolist() == columns.unique().tolist() == [15 - dilation, 15, 15 + dilation]


def test_refuses_channels_that_cannot_be_split():
    with pytest.raises(ValueError, match="6 channels cannot be split into 4 equal parts; choose a multiple of 4"):
        DilatedGatedAttention(6, 8)
