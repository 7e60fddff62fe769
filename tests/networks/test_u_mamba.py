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
        (UMambaBot, SMALL, (16, 20)),
        (UMambaBot, SMALL_VOLUME, (4, 8, 12)),
        (UMambaEnc, {**SMALL, "input_size": (16, 20)}, (16, 20)),
        (UMambaEnc, {**SMALL_VOLUME, "input_size": (4, 8, 12)}, (4, 8, 12)),
        (UMambaEnc, {"features_per_stage": (4, 8), "input_size": (4, 6)}, (4, 6)),
        (UMambaNoMamba, SMALL, (16, 20)),
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


def test_enc_pads_a_size_that_is_no_multiple():
    network = UMambaEnc(1, 2, **SMALL, input_size=(9, 6)).eval()
    multiple = UMambaEnc(1, 2, **SMALL, input_size=(12, 8)).eval()
    multiple.load_state_dict(network.state_dict())
    image = torch.randn(1, 1, 9, 6)

    with torch.no_grad():
        expected = multiple(functional.pad(image, (0, 2, 0, 3), mode="replicate"))[..., :9, :6]
        assert torch.equal(network(image), expected)


def test_deep_supervision_is_switched_without_changing_the_weights():
    network = UMambaBot(1, 2, features_per_stage=(4, 6, 8, 8)).eval()
    keys = list(network.state_dict())
    image = torch.randn(1, 1, 32, 48)

    with torch.no_grad():
        plain = network(image)
        network.decoder.deep_supervision = True
        levels = network(image)

    assert isinstance(levels, list)
    assert [tuple(level.shape[2:]) for level in levels] == [(32, 48), (16, 24), (8, 12)]
    assert torch.equal(levels[0], plain)
    assert list(network.state_dict()) == keys
    assert list(UMambaBot(1, 2, features_per_stage=(4, 6, 8, 8), deep_supervision=True).state_dict()) == keys


def test_state_dict_round_trip_restores_the_logits():
    network, other = (UMambaEnc(1, 2, **SMALL, input_size=(16, 12)).eval() for _ in range(2))
    other.load_state_dict(network.state_dict())
    image = torch.randn(1, 1, 16, 12)

    with torch.no_grad():
        assert torch.equal(other(image), network(image))


@pytest.mark.parametrize(
    ("network_class", "sizes", "memory_format"),
    [
        (UMambaBot, SMALL, torch.channels_last),
        (UMambaEnc, {**SMALL, "input_size": (16, 12)}, torch.channels_last),
        (UMambaEnc, {**SMALL_VOLUME, "input_size": (4, 16, 12)}, torch.channels_last_3d),
    ],
    ids=str,
)
def test_channels_last_images_give_the_same_logits(network_class, sizes, memory_format):
    network = network_class(3, 2, **sizes).eval().double()
    dims = network.spatial_dims
    images = torch.randn(2, 3, *(4, 16, 12)[-dims:], dtype=torch.float64)

    with torch.no_grad():
        torch.testing.assert_close(network(images.to(memory_format=memory_format)), network(images))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("network_class", "sizes"),
    [(UMambaBot, SMALL), (UMambaEnc, {**SMALL, "input_size": (16, 24)}), (UMambaBot, SMALL_VOLUME)],
    ids=str,
)
def test_mamba_stays_in_float32_under_autocast(network_class, sizes, dtype):
    network = network_class(1, 2, **sizes).eval()
    images = torch.randn(2, 1, *(4, 16, 24)[-network.spatial_dims :])
    layers = [module for module in network.modules() if isinstance(module, MambaLayer)]
    dtypes = []
    for layer in layers:
        layer.norm.register_forward_hook(lambda module, inputs, output: dtypes.extend((inputs[0].dtype, output.dtype)))
        layer.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))

    with torch.no_grad():
        expected = network(images)
        with torch.autocast("cpu", dtype=dtype):
            result = network(images)

    assert dtypes == [torch.float32] * (2 * 3 * len(layers))
    assert result.isfinite().all()
    # Two dozen layers lose a few bits; the more Mamba layers, which have no residual around them, the more.
    error = (result - expected).square().mean().sqrt() / expected.std()
    assert float(error) < 64 * torch.finfo(dtype).eps


@pytest.mark.parametrize("deep_supervision", [False, True])
@pytest.mark.parametrize(
    ("network_class", "sizes"),
    [(UMambaBot, SMALL), (UMambaEnc, {**SMALL_VOLUME, "input_size": (3, 15, 22)})],
    ids=str,
)
def test_compiles_and_exports_as_one_graph(network_class, sizes, deep_supervision):
    network = network_class(1, 2, **sizes, deep_supervision=deep_supervision).eval()
    images = torch.randn(2, 1, *(3, 15, 22)[-network.spatial_dims :])

    with torch.no_grad():
        expected = network(images)
        compiled = torch.compile(network, backend="eager", fullgraph=True)(images)
        exported = torch.export.export(network, (images,)).module()(images)

    torch.testing.assert_close(compiled, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(exported, expected, rtol=1e-3, atol=1e-4)


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
