import re

import pytest
import torch
from torch import nn
from torch.nn import functional

from nnunet_mamba.networks.baselines.segformer_tumour import SegFormerTumour

SMALL = {"dims": (4, 8, 8, 16), "depths": (1, 2, 1, 1), "n_heads": (1, 2, 2, 4), "decoder_channels": 6}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture
def network():
    return SegFormerTumour(3, 2, **SMALL).eval()


def test_each_part_has_its_number_of_parameters():
    with torch.device("meta"):
        network = SegFormerTumour(3, 1)

    dims, depths = (64, 128, 256, 512), (3, 4, 6, 3)
    for stage, before, d, depth, taps, reduction in zip(
        network.encoder.stages, (3, *dims), dims, depths, (49, 9, 9, 9), (8, 4, 2, 1), strict=False
    ):
        block = 2 * 2 * d + 4 * (d * d + d) + (reduction**2 * d * d + d) + 2 * d  # norms, attention, its reduction
        block += (d * d + d) + (9 * 4 * d + 4 * d) + (4 * d * d + d)  # MLP
        assert count(stage) == taps * before * d + 2 * d + depth * block + 2 * d
    assert count(network.decoder.levels) == 256 * (sum(dims) + 4)
    assert count(network.decoder.fuse) == 4 * 256 * 256
    assert count(network.decoder.norm) == 2 * 256
    assert count(network.decoder.seg_layers) == 257
    assert count(network) == count(network.encoder) + count(network.decoder) == 17_782_913


def test_biases_are_missing_where_the_published_ones_are(network):
    without = {
        re.sub(r"\d", "#", name)
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is None
    }

    assert without == {"encoder.stages.#.patches", "decoder.fuse"}


def test_stages_halve_the_resolution_from_a_quarter_on_and_all_see_the_same_number_of_positions(network):
    reduced = []
    for stage in network.encoder.stages:
        for block in stage.blocks:
            block.attention.norm.register_forward_hook(lambda module, inputs, output: reduced.append(output.shape))

    with torch.no_grad():
        maps = network.encoder(torch.randn(1, 3, 64, 96))

    assert [tuple(x.shape) for x in maps] == [(1, 4, 16, 24), (1, 8, 8, 12), (1, 8, 4, 6), (1, 16, 2, 3)]
    assert [tuple(shape[1:3]) for shape in reduced] == [(2, 3)] * sum(SMALL["depths"])


def test_patches_overlap(network):
    images = torch.zeros(1, 3, 32, 64, requires_grad=True)
    for stage, n_pixels in zip(network.encoder.stages[:2], (7, 3), strict=True):
        x = images if n_pixels == 7 else torch.zeros(1, 4, 16, 16, requires_grad=True)
        patches = stage.patches(x)
        (gradient,) = torch.autograd.grad(patches[0, :, 3, 3].sum(), x)
        seen = gradient[0, 0].nonzero()
        stride = x.shape[2] // patches.shape[2]
        assert (seen.max(dim=0).values - seen.min(dim=0).values).tolist() == [n_pixels - 1] * 2
        assert seen.float().mean(dim=0).tolist() == [3 * stride] * 2


def test_a_block_adds_attention_and_then_the_mlp_each_of_a_normalised_map(network):
    block, x = network.encoder.stages[1].blocks[0], torch.randn(2, 4, 8, 8)

    with torch.no_grad():
        middle = x + block.attention(functional.layer_norm(x, (8,)))
        expected = middle + block.mlp(functional.layer_norm(middle, (8,)))

        torch.testing.assert_close(block(x), expected)


def test_the_mlp_widens_each_channel_by_its_neighbourhood(network):
    mlp = network.encoder.stages[0].blocks[0].mlp
    x = torch.randn(1, 5, 5, 4)

    with torch.no_grad():
        channels = functional.pad(mlp.first(x).permute(0, 3, 1, 2), (1, 1, 1, 1))
        wide = torch.stack(
            [(channels[0, i // 4, 2:5, 1:4] * mlp.widen.weight[i, 0]).sum() + mlp.widen.bias[i] for i in range(16)]
        )
        expected = mlp.narrow(functional.gelu(wide))

        torch.testing.assert_close(mlp(x)[0, 2, 1], expected)


def test_decoder_changes_the_channels_after_it_enlarges_the_maps_as_published(network):
    decoder = network.decoder
    decoder.norm.running_mean.uniform_(-1, 1)
    decoder.norm.running_var.uniform_(1, 2)

    with torch.no_grad():
        maps = network.encoder(torch.randn(1, 3, 64, 96))
        enlarged = [functional.interpolate(x, size=(16, 24), mode="bilinear", align_corners=False) for x in maps]
        levels = [level(x) for level, x in zip(decoder.levels, enlarged, strict=True)]
        fused = decoder.norm(decoder.fuse(torch.cat([levels[3], levels[2], levels[1], levels[0]], dim=1)).relu())

        torch.testing.assert_close(decoder(maps), decoder.seg_layers[0](fused), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 64), (33, 47)])
def test_logits_of_a_quarter_of_the_size_are_interpolated_to_the_images(network, size):
    quarters = []
    network.decoder.register_forward_hook(lambda module, inputs, output: quarters.append(output))

    with torch.no_grad():
        logits = network(torch.randn(1, 3, *size))

    # The second image is padded to 64 pixels.
    assert quarters[0].shape == (1, 2, *((8, 16) if size == (32, 64) else (16, 16)))
    enlarged = functional.interpolate(quarters[0], scale_factor=4, mode="bilinear", align_corners=False)
    torch.testing.assert_close(logits, enlarged[..., : size[0], : size[1]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_channels": 0}, "SegFormerTumour: input_channels=0, expected at least 1"),
        ({"num_classes": 0}, "SegFormerTumour: num_classes=0, expected at least 1"),
        ({"decoder_channels": 0}, "SegFormerTumour: decoder_channels=0, expected a positive integer"),
        ({"dims": 64}, "SegFormerTumour: dims=64, expected a sequence of numbers"),
        ({"dims": (4, 8, 16)}, "SegFormerTumour: dims=(4, 8, 16), expected 4 numbers of at least 1; pass one for each"),
        ({"depths": (1, 1, 0, 1)}, "SegFormerTumour: depths=(1, 1, 0, 1), expected 4 numbers of at least 1"),
        ({"n_heads": (1, 2, 2, 1.5)}, "SegFormerTumour: n_heads=(1, 2, 2, 1.5), expected 4 numbers of at least 1"),
        ({"n_heads": (1, 3, 2, 4)}, "ReducedAttention: d_model=8 for n_heads=3, expected a multiple; nearest is 9"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SegFormerTumour(**{"input_channels": 3, "num_classes": 2, **SMALL, **arguments})
