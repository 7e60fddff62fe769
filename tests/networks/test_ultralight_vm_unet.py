import re

import pytest
import torch
from torch import nn
from torch.nn import functional

from nnunet_mamba.blocks.pyramid_pooling import PyramidPooling
from nnunet_mamba.networks.ultralight_vm_unet import UltraLightVMUNet


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture
def network():
    return UltraLightVMUNet(3, 2).eval()


@pytest.mark.parametrize(
    ("n_parameters", "options"),
    [
        (49_457, {}),
        (136_269, {"n_parallel": 1}),
        (69_589, {"n_parallel": 2}),
        (42_737, {"n_parallel": 8}),
        (83_405, {"shared_mamba": False}),
        (87_826, {"encoder_mixer": "conv"}),
        (85_286, {"decoder_mixer": "conv"}),
        (123_655, {"encoder_mixer": "conv", "decoder_mixer": "conv"}),
        (217_165, {"channels": (16, 32, 64, 128, 256)}),
        (176_453, {"channels": (16, 32, 64, 128, 256), "n_parallel": 8}),
        (703_885, {"channels": (16, 32, 64, 128, 256, 512), "n_parallel": 8}),
        (1_135_309, {"channels": (16, 32, 64, 128, 256, 512), "n_parallel": 8, "pyramid_pooling": "all"}),
        (769_677, {"channels": (16, 32, 64, 128, 256, 512), "n_parallel": 8, "pyramid_pooling": "bottleneck"}),
    ],
    ids=str,
)
def test_options_have_the_published_number_of_parameters(n_parameters, options):
    assert count(UltraLightVMUNet(3, 1, **options)) == n_parameters


@pytest.mark.parametrize(
    "options",
    [
        {"n_parallel": 1},
        {"shared_mamba": False},
        {"bridge": False},
        {"split_att": "conv"},
        {"encoder_mixer": "conv"},
        {"decoder_mixer": "conv"},
        {"channels": [4, 8, 12, 16, 20], "n_parallel": 2},
        {"channels": (4, 8, 8, 8)},
        {"pyramid_pooling": "all"},
        {"pyramid_pooling": "bottleneck"},
        {"strides": ((2, 1), (2, 2), (2, 2), (1, 2), (2, 2))},
    ],
    ids=str,
)
def test_options_train(options):
    network = UltraLightVMUNet(1, 3, **options)

    for module in network.modules():
        if isinstance(module, PyramidPooling):
            for layer in module.conv_layers:
                # Pyramid pooling has so few averages that its ReLU may stop them all.
                nn.init.ones_(layer.bias)
    logits = network(torch.randn(2, 1, 64, 64))
    logits.square().mean().backward()

    assert logits.shape == (2, 3, 64, 64)
    assert [name for name, parameter in network.named_parameters() if not parameter.grad.any()] == []


def test_head_lies_where_nnunet_looks_for_it(network):
    heads = {key: tuple(value.shape) for key, value in network.state_dict().items() if ".seg_layers." in key}

    assert heads == {"decoder.seg_layers.0.weight": (2, 8, 1, 1), "decoder.seg_layers.0.bias": (2,)}


def test_initial_values_are_the_published_ones():
    network = UltraLightVMUNet(3, 1, channels=(64, 64, 64, 64, 64, 64))

    for module in network.modules():
        if isinstance(module, nn.Linear):
            assert module.bias is None or not module.bias.any()
            if module.weight.numel() > 1000:
                assert float(module.weight.detach().std()) == pytest.approx(0.02, rel=0.15)
        if isinstance(module, nn.Conv2d):
            assert not module.bias.any()
        if isinstance(module, nn.Conv1d) and module.groups > 1:
            assert float(module.weight.detach().std()) == pytest.approx((2 / (32 * 4)) ** 0.5, rel=0.3)
    assert float(network.encoder[1].mixer.weight.detach().std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert torch.equal(network.bottleneck.mambas[0].D, torch.ones(32))


def test_learns_a_disc():
    network = UltraLightVMUNet(1, 1)
    distance = torch.linspace(-1, 1, 32).square()
    disc = ((distance[:, None] + distance) < 0.4).float()[None, None]
    image = disc + 0.1 * torch.randn(4, 1, 32, 32)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)

    for _ in range(60):
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(network(image), disc.expand(4, -1, -1, -1))
        loss.backward()
        optimizer.step()

    prediction = network(image) > 0
    assert 2 * (prediction & (disc > 0)).sum() / (prediction.sum() + 4 * disc.sum()) > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_channels": 0}, "input_channels=0, expected at least 1"),
        ({"num_classes": -1}, "num_classes=-1, expected at least 1"),
        ({"channels": (8, 16, 24)}, "channels=(8, 16, 24) has 3 levels, expected at least 4"),
        ({"channels": (8, 15, 24, 32, 48, 64)}, "channels[1]=15, expected a positive multiple of 4 (the group norm's"),
        ({"channels": (0, 16, 24, 32, 48, 64)}, "channels[0]=0, expected a positive multiple of 4"),
        ({"n_parallel": 0}, "n_parallel=0, expected at least 1"),
        ({"n_parallel": 5}, "channels[2]=24 cannot be split into n_parallel=5 equal chunks; choose channels that"),
        ({"n_parallel": 3, "encoder_mixer": "conv"}, "channels[3]=32 cannot be split into n_parallel=3"),
        ({"encoder_mixer": "mamba"}, "encoder_mixer='mamba', expected 'pvm' or 'conv'"),
        ({"decoder_mixer": "mamba"}, "decoder_mixer='mamba', expected 'pvm' or 'conv'"),
        ({"split_att": "mlp"}, "split_att='mlp', expected 'fc' or 'conv'"),
        ({"pyramid_pooling": "encoder"}, "pyramid_pooling='encoder', expected 'none', 'bottleneck' or 'all'"),
        ({"spatial_dims": 1}, "spatial_dims=1, expected 2 or 3"),
        ({"strides": ((2, 2),) * 4}, "4 strides for 6 levels, expected 5"),
        ({"strides": ((2, 2),) * 4 + ((2, 2, 2),)}, "strides[4]=(2, 2, 2), expected 2 numbers >= 1, one for each axis"),
        ({"strides": (2, 2, 2, 2, 2)}, "strides[0]=2, expected 2 numbers >= 1"),
        ({"strides": ((0, 2),) * 5}, "strides[0]=(0, 2), expected 2 numbers >= 1"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        UltraLightVMUNet(**{"input_channels": 3, "num_classes": 1, **arguments})


def test_chunks_do_not_matter_where_no_layer_splits():
    UltraLightVMUNet(3, 1, n_parallel=5, encoder_mixer="conv", decoder_mixer="conv")


@pytest.fixture
def volume_network():
    strides = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 1, 2))
    return UltraLightVMUNet(1, 2, spatial_dims=3, strides=strides).eval()


def test_thin_axis_is_pooled_as_little_as_its_strides_say(volume_network):
    maps = []
    volume_network.bottleneck.register_forward_hook(lambda module, inputs, output: maps.append(inputs[0].shape))

    with torch.no_grad():
        volume_network(torch.randn(1, 1, 8, 32, 64))

    assert maps == [(1, 48, 2, 2, 2)]


def test_volume_of_one_slice_is_an_image_to_a_network_with_the_middle_of_its_kernels(network):
    """Kernels of three slices see zeros above and below a single slice, so only their middle counts."""
    volumes = UltraLightVMUNet(3, 2, spatial_dims=3, strides=((1, 2, 2),) * 5).eval()
    weights = {}
    for key, value in volumes.state_dict().items():
        image_weight = network.state_dict()[key]
        if value.ndim == 5 and value.shape[2] > 1:
            weights[key] = torch.zeros_like(value)
            weights[key][:, :, value.shape[2] // 2] = image_weight
        else:
            weights[key] = image_weight.reshape(value.shape)
    volumes.load_state_dict(weights)
    image = torch.randn(2, 3, 40, 64)

    with torch.no_grad():
        torch.testing.assert_close(volumes(image[:, :, None])[:, :, 0], network(image), rtol=1e-4, atol=1e-5)
