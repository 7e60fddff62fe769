import re

import pytest
import torch
from published_functions import assert_same_logits, count, doubled, pooled
from torch.nn import functional

from nnunet_mamba.networks.baselines.lightm_unet import LightMUNet
from nnunet_mamba.networks.upstream_weights import published_name

FIRST, SECOND = {"separable": False}, {"separable": True}
MAMBA = ("A_log", "D", "in_proj", "conv1d", "x_proj", "dt_proj", "out_proj")


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("channels", "classes", "arguments", "n_parameters"),
    [
        (3, 1, {"base_filters": 8, **FIRST}, 403_302),
        (3, 1, {"base_filters": 32, **FIRST}, 5_375_958),
        (3, 1, {}, 380_812),
        (3, 1, {"base_filters": 16}, 1_342_948),
        (3, 1, {"base_filters": 32}, 5_011_732),
        (3, 2, {"base_filters": 32}, 5_011_765),
        (1, 2, {"base_filters": 32}, 5_011_683),
    ],
    ids=str,
)
def test_has_the_published_number_of_parameters_and_tensors(channels, classes, arguments, n_parameters):
    with torch.device("meta"):
        network = LightMUNet(channels, classes, **arguments)

    assert count(network) == n_parameters
    assert len(network.state_dict()) == (362 if network.separable else 356)


def test_has_the_published_parameters_part_by_part():
    with torch.device("meta"):
        network = LightMUNet(3, 1, base_filters=32)

    decoder = network.decoder
    assert (count(network.stem), count(network.encoder)) == (123, 4_944_021)
    assert (count(decoder.blocks), count(decoder.narrow)) == (24_419, 43_008)
    assert sum(map(count, (decoder.norm, decoder.depthwise, decoder.seg_layers))) == 161


@pytest.mark.parametrize("version", [FIRST, SECOND], ids=["first", "second"])
def test_has_the_published_names_and_shapes(version):
    with torch.device("meta"):
        network = LightMUNet(3, 1, base_filters=32, **version)
    published = {published_name(network, key): tuple(value.shape) for key, value in network.state_dict().items()}

    assert published["down_layers.0.1.conv1.mamba.x_proj.weight"] == (34, 64)
    assert published["down_layers.3.0.0.proj.weight"] == (256, 128)
    mixer = {"norm", "proj", "skip_scale", *(f"mamba.{layer}" for layer in MAMBA)}
    blocks = [f"down_layers.{i}.{j + 1}" for i, n in enumerate((1, 2, 2, 4)) for j in range(n)]
    if version is SECOND:
        assert published["conv_final.2.0.conv.weight"] == (32, 1, 1, 1)
        around = {"convInit.0.conv", "convInit.1.conv", "conv_final.2.0.conv", "conv_final.2.1.conv"}
        up = ("norm1", "norm2", "conv.0.conv", "conv.1.conv", "skip_scale")
    else:
        around = {"convInit.conv", "conv_final.2.conv"}
        up = ("norm1", "norm2", "conv1.conv", "conv2.conv")
    assert {re.sub(r"\.(weight|bias)$", "", name) for name in published} == {
        *(f"down_layers.{i}.0.0.{layer}" for i in (1, 2, 3) for layer in mixer),
        *(f"{block}.{norm}" for block in blocks for norm in ("norm1", "norm2")),
        *(f"{block}.{conv}.{layer}" for block in blocks for conv in ("conv1", "conv2") for layer in mixer),
        *(f"up_samples.{k}.0.conv" for k in range(3)),
        *(f"up_layers.{k}.0.{layer}" for k in range(3) for layer in up),
        *("conv_final.0", *around),
    }


def mamba(weights, name, tokens):
    """The Mamba block once more, from its equations, one token after the other."""
    n_tokens = tokens.shape[1]
    x, z = weights.linear(f"{name}.in_proj", tokens).chunk(2, dim=2)
    taps, bias = weights[f"{name}.conv1d.weight"], weights[f"{name}.conv1d.bias"]
    x = functional.silu(functional.conv1d(functional.pad(x.mT, (3, 0)), taps, bias, groups=len(bias)).mT)
    rank = weights[f"{name}.dt_proj.weight"].shape[1]
    dt, B, C = weights.linear(f"{name}.x_proj", x).split([rank, 16, 16], dim=2)
    delta = functional.softplus(weights.linear(f"{name}.dt_proj", dt))
    decay = torch.exp(-delta[..., None] * weights[f"{name}.A_log"].exp())
    update = (delta * x)[..., None] * B[:, :, None]
    states = [torch.zeros_like(decay[:, 0])]
    for token in range(n_tokens):
        states.append(decay[:, token] * states[-1] + update[:, token])
    y = torch.einsum("bldn,bln->bld", torch.stack(states[1:], dim=1), C) + weights[f"{name}.D"] * x
    return weights.linear(f"{name}.out_proj", y * functional.silu(z))


def described(weights, x):
    """Both versions of LightM-UNet once more, from their description."""

    def normalised(name, x):
        return weights.group_norm(name, x, 8).relu()

    def separable(name, x):
        return weights.conv(f"{name}.1.conv", weights.filters(f"{name}.0.conv", x))

    def mixed(name, x):
        tokens = x.flatten(2).mT
        u = mamba(weights, f"{name}.mamba", weights.layer_norm(f"{name}.norm", tokens))
        u = weights.layer_norm(f"{name}.norm", u + weights[f"{name}.skip_scale"] * tokens)
        return weights.linear(f"{name}.proj", u).mT.unflatten(2, x.shape[2:])

    is_first = "convInit.conv.weight" in weights
    x = weights.conv("convInit.conv", x) if is_first else separable("convInit", x)
    skips = []
    for i, n_blocks in enumerate((1, 2, 2, 4)):
        x = pooled(mixed(f"down_layers.{i}.0.0", x)) if i else x
        for name in (f"down_layers.{i}.{j + 1}" for j in range(n_blocks)):
            y = mixed(f"{name}.conv1", normalised(f"{name}.norm1", x))
            x = x + mixed(f"{name}.conv2", normalised(f"{name}.norm2", y))
        skips.append(x)
    for k, skip in enumerate(skips[-2::-1]):
        x = doubled(weights.conv(f"up_samples.{k}.0.conv", x)) + skip
        name = f"up_layers.{k}.0"
        if is_first:
            y = weights.conv(f"{name}.conv1.conv", normalised(f"{name}.norm1", x))
            x = x + weights.conv(f"{name}.conv2.conv", normalised(f"{name}.norm2", y))
        else:
            y = separable(f"{name}.conv", normalised(f"{name}.norm1", x)) + weights[f"{name}.skip_scale"] * x
            x = normalised(f"{name}.norm2", y)
    x = normalised("conv_final.0", x)
    return weights.conv("conv_final.2.conv", x) if is_first else separable("conv_final.2", x)


@pytest.mark.parametrize("version", [FIRST, SECOND], ids=["first", "second"])
def test_computes_what_is_described(version):
    assert_same_logits(LightMUNet(3, 2, **version), described)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_channels": 0}, "LightMUNet: input_channels=0, expected at least 1"),
        ({"num_classes": 0}, "LightMUNet: num_classes=0, expected at least 1"),
        ({"separable": 1}, "LightMUNet: separable=1, expected True or False"),
        ({"base_filters": 12}, "LightMUNet: base_filters=12, expected a positive multiple of 8"),
        ({"base_filters": 8.0}, "LightMUNet: base_filters=8.0, expected a positive multiple of 8"),
        ({"blocks_per_stage": 2}, "LightMUNet: blocks_per_stage=2, expected a sequence of numbers of blocks"),
        (
            {"blocks_per_stage": (1, 2)},
            "LightMUNet: blocks_per_stage=(1, 2), expected 4 numbers of blocks of at least 1",
        ),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        LightMUNet(**{"input_channels": 3, "num_classes": 2, **arguments})
