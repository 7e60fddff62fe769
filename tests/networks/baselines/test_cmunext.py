import re

import pytest
import torch
from published_functions import assert_same_logits, count, doubled, pooled
from torch.nn import functional

from nnunet_mamba.networks.baselines.cmunext import CMUNeXt
from nnunet_mamba.networks.upstream_weights import published_name

S = {"channels": (8, 16, 32, 64, 128), "blocks_per_stage": (1, 1, 1, 1, 1), "kernel_sizes": (3, 3, 7, 7, 9)}
BASE = {"channels": (16, 32, 128, 160, 256), "blocks_per_stage": (1, 1, 1, 3, 1), "kernel_sizes": (3, 3, 7, 7, 7)}
L = {"channels": (32, 64, 128, 256, 512), "blocks_per_stage": (1, 1, 1, 6, 3), "kernel_sizes": (3, 3, 7, 7, 7)}


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("size", "n_parameters", "n_tensors"), [(S, 417_505, 261), (BASE, 3_149_185, 303), (L, 8_286_721, 408)]
)
def test_has_the_published_parameters_part_by_part(size, n_parameters, n_tensors):
    with torch.device("meta"):
        network = CMUNeXt(3, 1, **size)

    def convolved(a, b):
        return 9 * a * b + b + 2 * b

    channels = size["channels"]
    assert count(network.stem) == convolved(3, channels[0])
    for stage, a, b, n_blocks, taps in zip(
        network.encoder.stages, (channels[0], *channels), channels, size["blocks_per_stage"], size["kernel_sizes"],
        strict=False,
    ):  # fmt: skip
        block = taps * taps * a + a + 2 * a + 4 * a * a + 4 * a + 8 * a + 4 * a * a + a + 2 * a
        assert count(stage) == n_blocks * block + convolved(a, b)
    for stage, a, c in zip(network.decoder.stages, channels[:0:-1], channels[-2::-1], strict=True):
        grouped = 9 * c * 2 * c + 2 * c + 4 * c
        assert count(stage) == convolved(a, c) + grouped + 8 * c * c + 4 * c + 8 * c + 4 * c * c + c + 2 * c
    assert count(network.decoder.seg_layers) == channels[0] + 1
    assert count(network) == n_parameters
    assert len(network.state_dict()) == n_tensors


def test_base_is_the_default():
    with torch.device("meta"):
        assert count(CMUNeXt(3, 1)) == 3_149_185


def test_has_the_published_names_and_shapes():
    with torch.device("meta"):
        network = CMUNeXt(3, 1, **S)
    published = {published_name(network, key): tuple(value.shape) for key, value in network.state_dict().items()}

    assert published["encoder5.block.0.0.fn.0.weight"] == (64, 1, 9, 9)
    assert published["Up_conv5.conv.0.weight"] == (128, 64, 3, 3)
    assert {re.sub(r"\.(weight|bias|running_\w+|num_\w+)$", "", name) for name in published} == {
        *(f"stem.conv.{i}" for i in (0, 1)),
        *(f"encoder{n}.block.0.{layer}" for n in range(1, 6) for layer in ("0.fn.0", "0.fn.2", "1", "3", "4", "6")),
        *(f"encoder{n}.up.conv.{i}" for n in range(1, 6) for i in (0, 1)),
        *(f"Up{n}.up.{i}" for n in range(2, 6) for i in (1, 2)),
        *(f"Up_conv{n}.conv.{i}" for n in range(2, 6) for i in (0, 2, 3, 5, 6, 8)),
        "Conv_1x1",
    }


def described(weights, x):
    """CMUNeXt once more, from its description."""

    def plain(name, x, conv, norm):
        return weights.batch_norm(f"{name}.{norm}", weights.conv(f"{name}.{conv}", x)).relu()

    def activated(name, x, conv, norm, **options):
        return weights.batch_norm(f"{name}.{norm}", functional.gelu(weights.conv(f"{name}.{conv}", x, **options)))

    x = plain("stem.conv", x, 0, 1)
    skips = []
    for n in range(1, 6):
        x = pooled(x) if n > 1 else x
        j = 0
        while f"encoder{n}.block.{j}.1.weight" in weights:
            name = f"encoder{n}.block.{j}"
            x = x + activated(name, x, "0.fn.0", "0.fn.2", groups=x.shape[1])
            x = activated(name, activated(name, x, 1, 3), 4, 6)
            j += 1
        x = plain(f"encoder{n}.up.conv", x, 0, 1)
        skips.append(x)
    for n in range(5, 1, -1):
        x = torch.cat([skips[n - 2], plain(f"Up{n}.up", doubled(x), 1, 2)], dim=1)
        x = activated(f"Up_conv{n}.conv", x, 0, 2, groups=2)
        x = activated(f"Up_conv{n}.conv", activated(f"Up_conv{n}.conv", x, 3, 5), 6, 8)
    return weights.conv("Conv_1x1", x)


@pytest.mark.parametrize("size", [S, {**S, "blocks_per_stage": (2, 1, 1, 3, 2)}], ids=["S", "several blocks"])
def test_computes_what_is_described(size):
    assert_same_logits(CMUNeXt(3, 2, **size), described)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_channels": 0}, "CMUNeXt: input_channels=0, expected at least 1"),
        ({"num_classes": 0}, "CMUNeXt: num_classes=0, expected at least 1"),
        ({"channels": 16}, "CMUNeXt: channels=16, expected a sequence of channel numbers"),
        ({"channels": (8, 16)}, "CMUNeXt: channels=(8, 16), expected 5 channel numbers of at least 1; pass as many"),
        ({"blocks_per_stage": (1, 1, 0, 1, 1)}, "CMUNeXt: blocks_per_stage=(1, 1, 0, 1, 1), expected 5 numbers of"),
        ({"kernel_sizes": (3, 3)}, "CMUNeXt: kernel_sizes=(3, 3), expected 5 kernel sizes of at least 1"),
        ({"kernel_sizes": (3, 3, 7, 4, 9)}, "LargeKernelBlock: kernel_size=4, expected a positive odd number"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        CMUNeXt(**{"input_channels": 3, "num_classes": 2, **S, **arguments})
