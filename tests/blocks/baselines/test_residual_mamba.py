import pytest
import torch
from torch import nn

from nnunet_mamba.blocks.baselines.residual_mamba import ResidualMamba


@pytest.fixture
def layer():
    torch.manual_seed(0)
    layer = ResidualMamba(4, 6).double()
    nn.init.uniform_(layer.norm.weight)
    nn.init.uniform_(layer.norm.bias)
    nn.init.constant_(layer.skip_scale, 0.7)
    return layer


@pytest.mark.parametrize("spatial", [(12,), (3, 4)])
def test_is_one_mamba_over_the_rows_with_the_map_itself_beside_it_and_one_norm(layer, spatial):
    x = torch.randn(2, 4, *spatial, dtype=torch.float64)

    with torch.no_grad():
        tokens = x.reshape(2, 4, 12).transpose(1, 2)
        mixed = layer.mamba(layer.norm(tokens)) + 0.7 * tokens
        expected = layer.proj(layer.norm(mixed)).transpose(1, 2).reshape(2, 6, *spatial)

        torch.testing.assert_close(layer(x), expected)


def test_leaves_autocast_in_its_mamba(layer):
    layer, dtypes = layer.float(), set()
    layer.mamba.register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(torch.randn(2, 4, 3, 4).bfloat16())

    assert dtypes == {torch.float32}


@pytest.mark.parametrize(("channels", "name"), [((0, 6), "in_channels"), ((4, 0), "out_channels")])
def test_refuses_widths_that_are_not_positive(channels, name):
    with pytest.raises(ValueError, match=f"ResidualMamba: {name}=0, expected a positive integer"):
        ResidualMamba(*channels)
