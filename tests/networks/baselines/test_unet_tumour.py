import re

import pytest
import torch
from torch import nn

from nnunet_mamba.networks.baselines.unet_tumour import UNetTumour

SMALL = {"features_per_stage": (2, 3, 4)}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


def test_each_part_has_its_number_of_parameters():
    with torch.device("meta"):
        network = UNetTumour(3, 1)

    # Of convolutions their weights, biases, and two numbers of a norm for each channel.
    widths = (32, 64, 128, 256, 512)
    first = 9 * 3 * 32 + 9 * 32 * 32 + 6 * 32
    encoder = first + sum(9 * width * (width // 2 + width) + 6 * width for width in widths[1:])
    up = sum(4 * 2 * width * width + width for width in widths[:-1])
    stages = sum(9 * width * (2 * width + width) + 6 * width for width in widths[:-1])
    assert count(network.encoder) == encoder
    assert count(network.decoder.upsample_layers) == up
    assert count(network.decoder.stages) == stages
    assert count(network.decoder.seg_layers) == 33
    assert count(network) == encoder + up + stages + 33 == 7_765_985


def test_every_convolution_has_a_bias_and_all_but_the_head_a_norm_behind_it():
    network = UNetTumour(3, 2, **SMALL)

    convolutions = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))]
    assert all(layer.bias is not None for layer in convolutions)
    for stage in (*network.encoder.stages, *network.decoder.stages):
        assert [type(layer) for layer in stage] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 2


def test_the_upsampled_map_stands_before_the_encoders():
    network = UNetTumour(1, 1, **SMALL).eval()
    seen = []
    for layer in network.decoder.upsample_layers:
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    for stage in network.encoder.stages:
        stage.register_forward_hook(lambda module, inputs, output: seen.append(output))
    for stage in network.decoder.stages:
        stage.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))

    with torch.no_grad():
        network(torch.randn(1, 1, 8, 12))

    first, second, _third, up_second, into_second, up_first, into_first = seen
    assert torch.equal(into_second, torch.cat([up_second, second], dim=1))
    assert torch.equal(into_first, torch.cat([up_first, first], dim=1))


def test_levels_are_maxima_of_two_by_two_pixels():
    network = UNetTumour(1, 1, **SMALL).eval()
    pooled = []
    network.encoder.stages[1].register_forward_pre_hook(lambda module, inputs: pooled.append(inputs[0]))
    network.encoder.stages[0] = nn.Identity()
    images = torch.randn(1, 2, 4, 8)

    with torch.no_grad():
        network.encoder(images)

    assert torch.equal(pooled[0], images.reshape(1, 2, 2, 2, 4, 2).amax(dim=(3, 5)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_channels": 0}, "UNetTumour: input_channels=0, expected at least 1"),
        ({"num_classes": 0}, "UNetTumour: num_classes=0, expected at least 1"),
        ({"features_per_stage": 32}, "UNetTumour: features_per_stage=32, expected a sequence of channel numbers"),
        ({"features_per_stage": (8, 0)}, "UNetTumour: features_per_stage[1]=0, expected a positive integer"),
        ({"features_per_stage": (8,)}, "UNetTumour: features_per_stage=(8,), expected two levels or more"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        UNetTumour(**{"input_channels": 1, "num_classes": 2, **SMALL, **arguments})
