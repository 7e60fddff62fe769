import pytest
import torch

from nnunet_mamba.blocks.baselines.multi_axis_product import MultiAxisProduct


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return MultiAxisProduct(8, 12)


@pytest.mark.parametrize(
    ("learnt", "quarter", "place"),
    [("plane", 0, (0, 0, 2, 3)), ("rows", 1, (0, 0, 0, 2)), ("columns", 2, (0, 0, 0, 3))],
)
def test_each_learnt_weight_is_that_of_its_quarter_and_axes(layer, learnt, quarter, place):
    """On a map of as many positions as weights, one weight reaches its neighbours along its axes and no others."""
    products = []
    layer.out_norm.register_forward_hook(lambda module, inputs, output: products.append(inputs[0]))
    x = torch.randn(1, 8, 8, 8)

    with torch.no_grad():
        layer(x)
        getattr(layer, learnt)[place] += 1
        layer(x)

    channels, rows, columns = (products[1] - products[0])[0].nonzero().T
    assert {channel // 2 for channel in channels.tolist()} == {quarter}
    assert rows.unique().tolist() == ([1, 2, 3] if learnt != "columns" else list(range(8)))
    assert columns.unique().tolist() == ([2, 3, 4] if learnt != "rows" else list(range(8)))


@pytest.mark.parametrize("size", [(1, 1), (3, 20), (8, 8)])
def test_maps_have_any_size(layer, size):
    assert layer(torch.randn(2, 8, *size)).shape == (2, 12, *size)


def test_refuses_channels_that_cannot_be_split():
    with pytest.raises(ValueError, match="6 channels cannot be split into 4 equal parts; choose a multiple of 4"):
        MultiAxisProduct(6, 8)
