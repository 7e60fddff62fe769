import re

import pytest
import torch

from nnunet_mamba.blocks.pyramid_pooling import BINS, PyramidPooling, grid_means


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.mark.parametrize(("spatial_dims", "size"), [(2, (1, 1)), (2, (9, 4)), (3, (1, 5, 7)), (3, (8, 8, 8))])
def test_keeps_the_shape_of_maps_of_any_size(spatial_dims, size):
    x = torch.randn(2, 24, *size)

    y = PyramidPooling(24, spatial_dims=spatial_dims)(x)

    assert y.shape == x.shape
    assert y.isfinite().all()


def test_volume_of_equal_slices_gives_each_the_image_of_one_slice():
    volume_block, image_block = PyramidPooling(8, spatial_dims=3), PyramidPooling(8)
    weights = {k: v[..., 0] if v.ndim == 5 else v for k, v in volume_block.state_dict().items()}
    image_block.load_state_dict(weights)
    image = torch.randn(1, 8, 7, 12)

    with torch.no_grad():
        y = volume_block(image[:, :, None].expand(-1, -1, 5, -1, -1))
        expected = image_block(image)[:, :, None].expand_as(y)

    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)


def test_widths_are_an_eighth_a_quarter_a_half_and_an_eighth():
    assert [conv.out_channels for conv in PyramidPooling(40).conv_layers] == [5, 10, 20, 5]


def test_first_channels_are_the_same_everywhere():
    y = PyramidPooling(16)(torch.randn(1, 16, 9, 5))[:, :2]

    torch.testing.assert_close(y, y[..., :1, :1].expand_as(y))


def test_compiles_into_one_graph():
    block, x = PyramidPooling(8, spatial_dims=3), torch.randn(1, 8, 4, 5, 6)

    with torch.no_grad():
        torch.testing.assert_close(torch.compile(block, backend="eager", fullgraph=True)(x), block(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 20}, "20 channels, expected a multiple of 8"),
        ({"channels": 0}, "channels=0, expected a positive integer"),
        ({"channels": 8, "spatial_dims": 1}, "spatial_dims=1, expected 2 or 3"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        PyramidPooling(**arguments)


@pytest.mark.parametrize("shape", [(1, 16, 4, 4), (1, 8, 4, 4, 4), (8, 4, 4)])
def test_refuses_maps_of_another_width_or_rank(shape):
    with pytest.raises(ValueError, match=rf"map of shape {re.escape(str(shape))}, expected \(b, 8, \*spatial\) with 2"):
        PyramidPooling(8)(torch.zeros(shape))


@pytest.mark.parametrize("n_cells", BINS)
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (6, 7), (8, 12), (13, 16), (1, 1, 1), (2, 5, 7), (13, 6, 8)])
def test_an_exported_graph_averages_over_the_same_cells(size, n_cells):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    pool = torch.nn.functional.adaptive_avg_pool2d if len(size) == 2 else torch.nn.functional.adaptive_avg_pool3d
    torch.testing.assert_close(grid_means(x, n_cells), pool(x, n_cells))
