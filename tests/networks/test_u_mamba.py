import re
from collections import Counter

import pytest
import torch
from torch.nn import functional

from nnunet_mamba.blocks.mamba_layer import MambaLayer
from nnunet_mamba.networks.u_mamba import UMambaBot, UMambaEnc, UMambaNoMamba

SLICE = {"features_per_stage": (32, 64, 128, 256, 512, 512, 512)}
VOLUME = {
    "features_per_stage": (32, 64, 128, 256, 320, 320),
    "kernel_sizes": ((1, 3, 3), *[(3, 3, 3)] * 5),
    "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)),
}
SMALL = {"features_per_stage": (4, 6, 8)}
SMALL_VOLUME = {
    "features_per_stage": (4, 6, 8),
    "kernel_sizes": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
    "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)),
}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("network_class", "sizes", "n_parameters"),
    [
        (UMambaBot, SLICE, 47_533_012),
        (UMambaEnc, {**SLICE, "input_size": (320, 320)}, 47_015_538),
        (UMambaEnc, {**SLICE, "input_size": (128, 192)}, 46_033_252),
        (UMambaNoMamba, SLICE, 47_533_012 - 1_695_744),
        (UMambaBot, VOLUME, 41_945_158),
        (UMambaEnc, {**VOLUME, "input_size": (40, 224, 192)}, 42_842_798),
        (UMambaEnc, {**VOLUME, "input_size": (8, 64, 64)}, 41_549_494),
        (UMambaNoMamba, VOLUME, 41_945_158 - 675_840),
    ],
    ids=str,
)
def test_has_the_published_number_of_parameters(network_class, sizes, n_parameters):
    with torch.device("meta"):
        assert count(network_class(1, 14, **sizes)) == n_parameters


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        (
            {**SLICE, "input_size": (320, 320)},
            {
                "encoder.stem": 28_384,
                "encoder.stages": 16_438_880,
                "encoder.mamba_layers": 1_178_270,
                "decoder.stages": 28_648_992,
                "decoder.upsample_layers": 699_872,
                "decoder.seg_layers": 21_140,
            },
        ),
        (
            {**VOLUME, "input_size": (8, 64, 64)},
            {
                "encoder.stem": 28_384,
                "encoder.stages": 15_370_208,
                "encoder.mamba_layers": 280_176,
                "decoder.stages": 25_631_328,
                "decoder.upsample_layers": 228_128,
                "decoder.seg_layers": 11_270,
            },
        ),
    ],
    ids=["2d", "3d"],
)
def test_each_part_has_its_published_name_and_number_of_parameters(sizes, parts):
    with torch.device("meta"):
        network = UMambaEnc(1, 14, **sizes)

    counts = Counter()
    for name, parameter in network.named_parameters():
        counts[".".join(name.split(".")[:2])] += parameter.numel()
    assert counts == parts


@pytest.mark.parametrize(
    ("sizes", "input_size", "widths"),
    [
        (SLICE, (320, 320), {0: 32, 2: 128, 4: -400, 6: -25}),
        (SLICE, (128, 192), {0: 32, 2: 128, 4: -96, 6: -6}),
        ({"features_per_stage": (8, 16, 32, 64)}, (32, 32), {1: 16, 3: -16}),
        (VOLUME, (40, 224, 192), {0: 32, 1: 64, 2: 128, 3: 256, 4: 320, 5: -210}),
        (VOLUME, (8, 64, 64), {0: 32, 1: 64, 2: 128, 3: -128, 4: -16, 5: -4}),
        # Padded to 64 × 128 the deepest map has 8 positions.
        ({"features_per_stage": (4, 4, 4, 4, 4, 8)}, (33, 97), {1: 4, 3: 4, 5: -8}),
    ],
    ids=str,
)
def test_enc_takes_channels_as_tokens_where_the_map_has_no_more_positions(sizes, input_size, widths):
    with torch.device("meta"):
        layers = UMambaEnc(1, 2, **sizes, input_size=input_size).encoder.mamba_layers

    found = {
        index: -layer.d_model if layer.channels_as_tokens else layer.d_model
        for index, layer in enumerate(layers)
        if isinstance(layer, MambaLayer)
    }
    assert found == widths


def test_blocks_of_the_published_half_are_single_and_the_caller_keeps_his_list():
    encoder_blocks, decoder_blocks = [3, 2, 4, 5, 6], [2, 3, 4, 5]

    network = UMambaBot(
        1,
        2,
        features_per_stage=[4] * 5,
        n_conv_per_stage=encoder_blocks,
        n_conv_per_stage_decoder=decoder_blocks,
    )

    assert [len(stage) for stage in network.encoder.stages] == [3, 2, 4, 1, 1]
    assert len(network.encoder.stem) == 3
    assert [len(stage) for stage in network.decoder.stages] == [2, 3, 4, 1]
    assert (encoder_blocks, decoder_blocks) == ([3, 2, 4, 5, 6], [2, 3, 4, 5])


@pytest.mark.parametrize(
    ("network_class", "sizes", "image_size"),
    [
        (UMambaEnc, {"features_per_stage": (4, 8), "input_size": (4, 6)}, (4, 6)),
        (UMambaBot, {**SMALL, "kernel_sizes": [3, (1, 5), 3], "strides": [1, (2, 1), 3]}, (12, 9)),
        (UMambaBot, {**SMALL, "n_conv_per_stage": 1, "n_conv_per_stage_decoder": 1, "spatial_dims": 3}, (8, 8, 4)),
    ],
    ids=str,
)
def test_trains(network_class, sizes, image_size):
    network = network_class(2, 3, **sizes, deep_supervision=True)

    levels = network(torch.randn(2, 2, *image_size))
    torch.stack([level.square().mean() for level in levels]).sum().backward()

    assert [len(levels), levels[0].shape] == [len(sizes["features_per_stage"]) - 1, (2, 3, *image_size)]
    assert [name for name, parameter in network.named_parameters() if not parameter.grad.any()] == []


def test_no_mamba_is_bot_without_its_layer():
    bot, plain = UMambaBot(1, 2, **SMALL).eval(), UMambaNoMamba(1, 2, **SMALL).eval()
    weights = {key: value for key, value in bot.state_dict().items() if not key.startswith("mamba_layer.")}
    plain.load_state_dict(weights)
    bot.mamba_layer = torch.nn.Identity()
    image = torch.randn(1, 1, 16, 24)

    with torch.no_grad():
        assert torch.equal(plain(image), bot(image))


def test_learns_a_disc():
    network = UMambaBot(1, 1, features_per_stage=(8, 8, 8), n_conv_per_stage=1, n_conv_per_stage_decoder=1)
    distance = torch.linspace(-1, 1, 20).square()
    disc = ((distance[:, None] + distance) < 0.4).float()[None, None]
    image = disc + 0.1 * torch.randn(4, 1, 20, 20)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)

    for _ in range(20):
        optimizer.zero_grad()
        functional.binary_cross_entropy_with_logits(network(image), disc.expand(4, -1, -1, -1)).backward()
        optimizer.step()

    prediction = network(image) > 0
    assert 2 * (prediction & (disc > 0)).sum() / (prediction.sum() + 4 * disc.sum()) > 0.9


@pytest.mark.parametrize(
    ("input_size", "message"),
    [
        ((16, 16, 16), "input_size=(16, 16, 16), expected 2 numbers of at least 1"),
        ((16, 0), "input_size=(16, 0), expected 2 numbers of at least 1"),
        ((4, 4), "images of size (4, 4) have a single position at the deepest stage"),
    ],
)
def test_enc_refuses_input_sizes_that_do_not_fit(input_size, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        UMambaEnc(1, 2, **SMALL, input_size=input_size)


@pytest.mark.parametrize("size", [(15, 16), (32, 32), (2, 2)])
def test_enc_refuses_images_of_another_size(size):
    network = UMambaEnc(1, 2, **SMALL, input_size=(16, 16))

    message = f"images of size {size}, expected input_size=(16, 16), which the weights are tied to"
    with pytest.raises(ValueError, match=re.escape(message)):
        network(torch.zeros(1, 1, *size))
