import pytest
import torch

from nnunet_mamba import create_network
from nnunet_mamba.networks.classifiers.vmamba import VMamba
from nnunet_mamba.networks.upstream_weights import load_upstream_weights, published_name
from nnunet_mamba.networks.vm_unet import VMUNet

SMALL = {"dims": (8, 16, 32), "depths": (1, 2, 1)}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return VMamba(3, 5, **SMALL).eval()


@pytest.mark.parametrize(
    ("name", "n_parameters", "n_tensors"),
    # Seven blocks less than VMamba-T; VM-UNet's Table V tells the size of two.
    [
        ("vmamba_tiny", 22_893_448, 212),
        ("vmamba_small", 44_417_416, 446),
        ("vm_unet_encoder", 22_893_448 - 7 * (29_924_521 - 27_532_969) // 2, 212 - 7 * 13),
    ],
)
def test_published_sizes_have_the_published_numbers(name, n_parameters, n_tensors):
    with torch.device("meta"):
        network = create_network(name, 3, 1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == n_parameters
    assert len(network.state_dict()) == n_tensors
    names = {published_name(network, key) for key in network.state_dict()}
    assert {"layers.0.blocks.1.self_attention.A_logs", "layers.2.downsample.norm.weight", "norm.bias"} <= names


def test_head_reads_the_average_of_the_normalised_map(network):
    maps = []
    network.layers[-1].register_forward_hook(lambda module, inputs, output: maps.append(output))
    logits = network(torch.randn(2, 3, 32, 48))
    assert maps[0].shape == (2, 2, 3, 32)
    normed = torch.nn.functional.layer_norm(maps[0], (32,), eps=1e-5)
    torch.testing.assert_close(logits, network.head(normed.flatten(1, 2).mean(1)))


def test_vm_unet_begins_with_its_weights_and_gives_the_same_map(network):
    segmenting = VMUNet(3, 2, **SMALL, depths_decoder=(1, 2, 1)).eval()
    weights = {published_name(network, key): value for key, value in network.state_dict().items()}
    report = load_upstream_weights(segmenting, weights, partial=True)
    assert report.source == "backbone"
    images, maps = torch.randn(1, 3, 32, 32), []
    for encoder in (network, segmenting):
        encoder.layers[-1].register_forward_hook(lambda module, inputs, output: maps.append(output))
        encoder(images)
    assert torch.equal(*maps)


def test_grey_images_and_odd_sizes_are_taken(network):
    grey = torch.randn(1, 1, 17, 30)
    with torch.no_grad():
        assert torch.equal(network(grey), network(grey.expand(-1, 3, -1, -1)))
    assert VMamba(1, 5, **SMALL)(grey).shape == (1, 5)
    with pytest.raises(ValueError, match=r"VMamba: input of shape \(1, 2, 16, 16\), expected \(b, 3, h, w\)"):
        network(torch.zeros(1, 2, 16, 16))


def test_refuses_arguments_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"VMamba: depths=\(1,\) for dims=\(8, 16\), expected one number >= 1 for each"
    ):
        VMamba(3, 5, dims=(8, 16), depths=(1,))
