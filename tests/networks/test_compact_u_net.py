import torch

from nnunet_mamba import create_network


def test_volumes_have_the_outputs_of_their_poolings():
    torch.manual_seed(0)
    strides = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 1, 2))
    network = create_network("ultralbm_unet", 1, 2, spatial_dims=3, strides=strides, deep_supervision=True)
    assert network.size_multiple == (4, 16, 32)
    assert network.output_reductions == ((1, 1, 1), (2, 4, 4), (4, 8, 8), (4, 16, 16), (4, 16, 32))
    outputs = network(torch.randn(1, 1, 9, 32, 40))
    assert [tuple(x.shape[2:]) for x in outputs] == [(9, 32, 40), (5, 8, 10), (3, 4, 5), (3, 2, 3), (3, 2, 2)]
