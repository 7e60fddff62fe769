import re

import pytest
import torch

from nnunet_mamba.blocks.vss_block import VSSBlock
from nnunet_mamba.networks.vm_unet import VMUNet

SMALL = {"dims": (32, 64, 128, 256), "depths": (1, 2, 1, 1), "depths_decoder": (1, 1, 2, 1)}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture
def network():
    return VMUNet(3, 2, **SMALL).eval()


@pytest.mark.parametrize(
    ("n_parameters", "depths", "depths_decoder"),
    [
        (27_427_561, (2, 2, 2, 2), (2, 2, 2, 1)),
        (27_532_969, (2, 2, 2, 2), (2, 2, 2, 2)),
        (29_924_521, (2, 2, 3, 2), (2, 3, 2, 2)),
        (32_316_073, (2, 2, 4, 2), (2, 4, 2, 2)),
        (44_273_833, (2, 2, 9, 2), (2, 9, 2, 2)),
    ],
)
def test_depths_of_table_v_have_the_published_number_of_parameters(n_parameters, depths, depths_decoder):
    with torch.device("meta"):
        assert count(VMUNet(3, 1, depths=depths, depths_decoder=depths_decoder)) == n_parameters


def test_classes_are_one_convolution():
    with torch.device("meta"):
        assert count(VMUNet(1, 9)) == 27_427_761


def test_without_its_scans_nothing_of_a_state_space_is_left():
    names = {name.rpartition(".")[2] for name, _ in VMUNet(3, 2, **SMALL, scan=False).named_parameters()}

    assert names == {"weight", "bias"}


@pytest.mark.parametrize("input_channels", [1, 3])
def test_a_grey_image_is_three_equal_colours(input_channels):
    network = VMUNet(input_channels, 2, **SMALL).eval()
    image = torch.randn(2, 1, 33, 20)
    assert network.patch_embed.proj.weight.shape[1] == 3

    with torch.no_grad():
        grey = network(image)
        if input_channels == 3:
            assert torch.equal(grey, network(image.expand(-1, 3, -1, -1)))

    assert grey.shape == (2, 2, 33, 20)


def test_more_channels_have_weights_of_their_own():
    assert VMUNet(4, 2, **SMALL)(torch.randn(1, 4, 32, 32)).shape == (1, 2, 32, 32)


def test_head_reads_patches_as_it_would_the_map_that_they_make(network):
    maps = []
    network.decoder.layers_up[-1].register_forward_hook(lambda module, inputs, output: maps.append(output))

    with torch.no_grad():
        logits = network(torch.randn(2, 3, 64, 32))
        laid_out = network.decoder.final_up(maps[0]).permute(0, 3, 1, 2)

        torch.testing.assert_close(logits, network.decoder.seg_layers[0](laid_out), rtol=1e-5, atol=1e-6)


def test_the_first_skip_is_the_second_stages():
    """The encoder's highest resolution reaches the decoder only through the stages below it."""
    network = VMUNet(3, 1, **SMALL)
    stages = []
    network.decoder.register_forward_hook(lambda module, inputs, output: stages.extend(inputs[1]))

    network(torch.randn(1, 3, 64, 64))

    assert [tuple(skip.shape) for skip in stages] == [(1, 8, 8, 64), (1, 4, 4, 128), (1, 2, 2, 256)]


def test_drop_path_grows_towards_the_bottleneck():
    network = VMUNet(3, 1, **SMALL, drop_path_rate=0.4)

    rates = [block.drop_path.drop_prob for block in network.modules() if isinstance(block, VSSBlock)]

    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.3, 0.2, 0.1, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_channels": 0}, "input_channels=0, expected at least 1"),
        ({"num_classes": 0}, "num_classes=0, expected at least 1"),
        ({"depths": (2, 2, 2)}, "depths=(2, 2, 2) for dims=(96, 192, 384, 768), expected one number >= 1 for each"),
        ({"depths_decoder": (2, 2, 2, 0)}, "depths_decoder=(2, 2, 2, 0) for dims"),
        ({"dims": (6, 12, 24, 48)}, "dims[0]=6, expected a positive multiple of 4"),
        ({"dims": (8, 16, 30, 60)}, "dims[2]=30 after 16, expected 32"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        VMUNet(**{"input_channels": 3, "num_classes": 1, **arguments})
