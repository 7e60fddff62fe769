import re

import pytest
import torch
from published_functions import assert_same_logits, count, doubled, pooled
from torch.nn import functional

from nnunet_mamba.networks.baselines.unext import UNeXt
from nnunet_mamba.networks.upstream_weights import published_name

S = (8, 16, 32, 64, 128)


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.mark.parametrize(("channels", "n_parameters"), [((16, 32, 128, 160, 256), 1_471_921), (S, 253_561)])
def test_has_the_published_parameters_part_by_part(channels, n_parameters):
    with torch.device("meta"):
        network = UNeXt(3, 1, channels=channels)

    def block(c):
        return 2 * c + 2 * (c * c + c) + 9 * c + c  # norm, two linear layers, a filter of each channel

    a, b, c, d, e = channels
    for stage, before, width in zip(network.encoder.stages, (3, *channels), channels, strict=False):
        mixed = block(width) + 2 * width if width in (d, e) else 0
        assert count(stage) == 9 * before * width + width + 2 * width + mixed
    for stage, below, width in zip(network.decoder.stages, (e, d, c, b), (d, c, b, a), strict=True):
        mixed = block(width) + 2 * width if width in (d, c) else 0
        assert count(stage) == 9 * below * width + width + 2 * width + mixed
    assert count(network.decoder.last) == 9 * a * a + a
    assert count(network) == n_parameters
    assert len(network.state_dict()) == 101


def test_has_the_published_names_and_shapes():
    with torch.device("meta"):
        network = UNeXt(3, 1)
    published = {published_name(network, key): tuple(value.shape) for key, value in network.state_dict().items()}

    assert published["block2.0.mlp.dwconv.dwconv.weight"] == (256, 1, 3, 3)
    assert published["patch_embed4.proj.weight"] == (256, 160, 3, 3)
    assert published["decoder3.weight"] == (32, 128, 3, 3)
    assert published["final.weight"] == (1, 16, 1, 1)
    assert {re.sub(r"\.(weight|bias|running_\w+|num_\w+)$", "", name) for name in published} == {
        *(f"encoder{i}" for i in (1, 2, 3)),
        *(f"ebn{i}" for i in (1, 2, 3)),
        *(f"patch_embed{i}.{layer}" for i in (3, 4) for layer in ("proj", "norm")),
        *(
            f"{block}{i}.0.{layer}"
            for block in ("block", "dblock")
            for i in (1, 2)
            for layer in ("norm2", "mlp.fc1", "mlp.dwconv.dwconv", "mlp.fc2")
        ),
        *(f"{norm}{i}" for norm in ("norm", "dnorm") for i in (3, 4)),
        *(f"decoder{i}" for i in range(1, 6)),
        *(f"dbn{i}" for i in range(1, 5)),
        "final",
    }


def described(weights, x):
    """UNeXt once more, from its description; its shifts roll zero-padded maps."""

    def shifted(tokens, size, axis):
        x = functional.pad(tokens.mT.unflatten(2, size), (2, 2, 2, 2))
        rolled = [torch.roll(chunk, j - 2, axis) for j, chunk in enumerate(x.chunk(5, dim=1))]
        return torch.cat(rolled, dim=1)[:, :, 2:-2, 2:-2].flatten(2).mT

    def mixed(name, tokens, size):
        y = shifted(weights.layer_norm(f"{name}.norm2", tokens), size, 2)
        y = weights.linear(f"{name}.mlp.fc1", y).mT.unflatten(2, size)
        y = functional.gelu(weights.filters(f"{name}.mlp.dwconv.dwconv", y)).flatten(2).mT
        return tokens + weights.linear(f"{name}.mlp.fc2", shifted(y, size, 3))

    def tokens_of(x, block, norm, patches=None):
        size, tokens = x.shape[2:], x.flatten(2).mT
        tokens = tokens if patches is None else weights.layer_norm(patches, tokens)
        return weights.layer_norm(norm, mixed(block, tokens, size)).mT.unflatten(2, size)

    skips = []
    for i in (1, 2, 3):
        x = pooled(weights.batch_norm(f"ebn{i}", weights.conv(f"encoder{i}", x))).relu()
        skips.append(x)
    for i in (3, 4):
        x = weights.conv(f"patch_embed{i}.proj", x, stride=2)
        x = tokens_of(x, f"block{i - 2}.0", f"norm{i}", f"patch_embed{i}.norm")
        skips.append(x)
    for i, skip in zip((1, 2, 3, 4), skips[-2::-1], strict=True):
        x = doubled(weights.batch_norm(f"dbn{i}", weights.conv(f"decoder{i}", x))).relu() + skip
        x = tokens_of(x, f"dblock{i}.0", f"dnorm{i + 2}") if i < 3 else x
    return weights.conv("final", doubled(weights.conv("decoder5", x)).relu())


@pytest.mark.parametrize("channels", [(16, 32, 128, 160, 256), S], ids=["published", "small"])
def test_computes_what_is_described(channels):
    assert_same_logits(UNeXt(3, 2, channels=channels), described)


def test_tokens_begin_with_the_published_values_and_convolutions_with_torchs():
    network = UNeXt(3, 1).requires_grad_(False)
    mlp = network.encoder.stages[4].block.mlp

    for layer in (mlp.first, mlp.second):
        assert float(layer.weight.std()) == pytest.approx(0.02, rel=0.02)
        assert not layer.bias.any()
    assert float(mlp.depthwise.weight.std()) == pytest.approx((2 / 9) ** 0.5, rel=0.05)
    patches = network.encoder.stages[4].patches
    assert float(patches.weight.std()) == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)
    assert not patches.bias.any()
    assert float(network.decoder.stages[0].block.mlp.first.weight.std()) == pytest.approx(0.02, rel=0.02)
    # Uniform between the inverse roots of the fan.
    for layer, fan in (
        (network.encoder.stages[2].convolution, 9 * 32),
        (network.decoder.stages[0].convolution, 9 * 256),
    ):
        assert 0.98 * fan**-0.5 < float(layer.weight.abs().max()) <= fan**-0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_channels": 0}, "UNeXt: input_channels=0, expected at least 1"),
        ({"num_classes": 0}, "UNeXt: num_classes=0, expected at least 1"),
        ({"channels": 16}, "UNeXt: channels=16, expected a sequence of channel numbers"),
        (
            {"channels": S[:4]},
            "UNeXt: channels=(8, 16, 32, 64), expected 5 channel numbers of at least 1; pass as many",
        ),
        ({"channels": (8, 16, 0, 64, 128)}, "UNeXt: channels=(8, 16, 0, 64, 128), expected 5 channel numbers"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        UNeXt(**{"input_channels": 3, "num_classes": 2, "channels": S, **arguments})
