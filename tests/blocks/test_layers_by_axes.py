import pytest
import torch

from nnunet_mamba.blocks.layers_by_axes import batch_norm_for, convolution_for, instance_norm_for


@pytest.mark.parametrize("size", [(5, 6), (4, 5, 6)])
def test_layers_take_maps_of_their_number_of_axes(size):
    x = torch.randn(2, 3, *size)
    for layer in (convolution_for(len(size))(3, 3, 1), batch_norm_for(len(size))(3), instance_norm_for(len(size))(3)):
        assert layer(x).shape == x.shape


@pytest.mark.parametrize("layer_for", [convolution_for, batch_norm_for, instance_norm_for])
def test_refuses_other_numbers_of_axes(layer_for):
    with pytest.raises(ValueError, match="spatial_dims=1: expected 2 for images or 3 for volumes"):
        layer_for(1)
