import re

import pytest
import torch

from nnunet_mamba.blocks.mamba_layer import MambaLayer
from nnunet_mamba.blocks.pyramid_pooling import PyramidPooling
from nnunet_mamba.networks.u_mamba_tumour import UMambaBotTumour
from nnunet_mamba.networks.upstream_weights import published_name

SMALL = {"features_per_stage": (4, 4, 8)}
SMALL_VOLUME = {"features_per_stage": (4, 4, 8), "spatial_dims": 3, "strides": (1, (1, 2, 2), 2)}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


def test_each_part_has_its_published_number_of_parameters():
    with torch.device("meta"):
        network = UMambaBotTumour(3, 1, pyramid_pooling=True)

    parts = {
        "encoder": 4_895_552,
        "pyramid_pooling": 262_656,
        "mamba_layer.norm": 1_024,
        "mamba_layer.mamba": 1_694_720,
        "decoder.stages": 2_525_120,
        "decoder.transpconvs": 696_800,
        "decoder.seg_layers": 484,
    }
    assert {part: count(network.get_submodule(part)) for part in parts} == parts


def test_pyramid_pooling_has_its_published_name_and_widths():
    network = UMambaBotTumour(3, 1, features_per_stage=(8, 8, 32), pyramid_pooling=True)

    names = {published_name(network, key): value.shape for key, value in network.state_dict().items()}
    widths = [names[f"ppm.conv_layers.{index}.weight"][:2] for index in range(4)]
    assert widths == [(4, 32), (8, 32), (16, 32), (4, 32)]


def test_pools_before_the_mamba_layer():
    network = UMambaBotTumour(1, 1, **SMALL, pyramid_pooling=True)
    order = []
    for module in network.modules():
        if isinstance(module, (MambaLayer, PyramidPooling)):
            module.register_forward_hook(lambda module, inputs, output: order.append(type(module)))

    with torch.no_grad():
        network(torch.randn(1, 1, 8, 8))

    assert order == [PyramidPooling, MambaLayer]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "UMambaBotTumour: num_classes=0, expected at least 1"),
        ({"kernel_sizes": [3, 3]}, "UMambaBotTumour: kernel_sizes has 2 entries, features_per_stage asks for 3"),
        ({"n_conv_per_stage_decoder": [1]}, "n_conv_per_stage_decoder has 1 entries, features_per_stage asks for 2"),
        ({"features_per_stage": (4, 4, 12), "pyramid_pooling": True}, "12 channels, expected a multiple of 8"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        UMambaBotTumour(**{"input_channels": 1, "num_classes": 2, **SMALL, **arguments})


def test_takes_every_number_of_blocks_as_it_is():
    network = UMambaBotTumour(1, 2, **SMALL, n_conv_per_stage=[1, 2, 3], n_conv_per_stage_decoder=[2, 3])

    assert [len(stage.blocks) for stage in network.encoder.stages] == [1, 2, 3]
    assert [len(stage.blocks) for stage in network.decoder.stages] == [2, 3]
