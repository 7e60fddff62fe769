import pytest
import torch
from torch.nn import functional

from nnunet_mamba.blocks.baselines.channel_norm import ChannelNorm


@pytest.mark.parametrize("spatial", [(5, 7), (1, 1), (2, 3, 4)])
def test_is_layer_norm_over_the_channels_of_each_position(spatial):
    torch.manual_seed(0)
    norm = ChannelNorm(6).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    # So small numbers that the eps tells.
    x = 1e-3 * torch.randn(2, 6, *spatial, dtype=torch.float64)

    with torch.no_grad():
        tokens = functional.layer_norm(x.flatten(2).mT, (6,), norm.weight, norm.bias, eps=1e-6)
        torch.testing.assert_close(norm(x), tokens.mT.reshape(x.shape))
