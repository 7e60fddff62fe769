import re

import pytest
import torch
from torch.nn import functional

from nnunet_mamba.blocks.separable_convolution import SeparableConvolution


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


def test_is_one_filter_per_channel_then_one_tap_over_the_channels():
    layer = SeparableConvolution(3, kernel_size=5).double().eval()
    for norm in (layer.depthwise_norm, layer.pointwise_norm):
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    image = torch.randn(2, 3, 6, 7, dtype=torch.float64)

    def normalise(x, norm):
        mean, variance = (statistic[:, None, None] for statistic in (norm.running_mean, norm.running_var))
        return functional.gelu((x - mean) / (variance + 1e-5).sqrt())

    with torch.no_grad():
        result = layer(image)
        filters = layer.depthwise.weight[:, 0]  # (c, 5, 5)
        windows = functional.pad(image, (2, 2, 2, 2)).unfold(2, 5, 1).unfold(3, 5, 1)
        filtered = normalise((windows * filters[:, None, None]).sum((-1, -2)), layer.depthwise_norm)
        mixed = torch.einsum("ec,bchw->behw", layer.pointwise.weight[..., 0, 0], filtered)

    torch.testing.assert_close(result, normalise(mixed, layer.pointwise_norm), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kernel_size", [1, 3, 7])
@pytest.mark.parametrize("shape", [(4, 5), (1, 1), (2, 3, 4)])
def test_keeps_the_shape_of_images_and_volumes(kernel_size, shape):
    layer = SeparableConvolution(3, kernel_size=kernel_size, spatial_dims=len(shape))

    assert layer(torch.randn(2, 3, *shape)).shape == (2, 3, *shape)
    assert sum(p.numel() for p in layer.parameters()) == 3 * kernel_size ** len(shape) + 3 * 3 + 4 * 3


@pytest.mark.parametrize("kernel_size", [0, -1, 4])
def test_refuses_kernels_without_a_centre(kernel_size):
    with pytest.raises(ValueError, match=f"kernel_size={kernel_size}, expected a positive odd number"):
        SeparableConvolution(3, kernel_size=kernel_size)


def test_refuses_to_train_on_a_single_value_of_each_channel():
    layer, single = SeparableConvolution(3, kernel_size=3), torch.randn(1, 3, 1, 1)

    with pytest.raises(ValueError, match=re.escape("map of shape (1, 3, 1, 1) in training, expected more than one")):
        layer(single)

    assert layer(single.expand(2, -1, -1, -1)).shape == (2, 3, 1, 1)
    assert layer.eval()(single).shape == (1, 3, 1, 1)
