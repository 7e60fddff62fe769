import re

import pytest
import torch
from published_functions import assert_same_logits, count, pooled
from torch.nn import functional

from nnunet_mamba.networks.baselines.u_lite import ULite
from nnunet_mamba.networks.upstream_weights import published_name

CHANNELS = (16, 32, 64, 128, 256, 512)
SMALL = (3, 4, 5, 6, 7, 8)


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


def test_has_the_published_parameters_part_by_part():
    with torch.device("meta"):
        network = ULite(3, 1)

    def axial(c, taps=7):
        return 2 * (taps * c + c)

    assert count(network.stem) == 49 * 3 * 16 + 16
    for stage, a, b in zip(network.encoder, CHANNELS, CHANNELS[1:], strict=False):
        assert count(stage) == axial(a) + 2 * a + a * b + b
    assert count(network.bottleneck) == 512 * 128 + 128 + 3 * axial(128, 3) + 2 * 512 + 512 * 512 + 512
    for stage, a, b in zip(network.decoder.stages, CHANNELS[:0:-1], CHANNELS[-2::-1], strict=True):
        assert count(stage) == (a + b) * b + b + 2 * b + axial(b) + b * b + b
    assert count(network.decoder.seg_layers) == 17
    assert count(network) == 878_417
    assert len(network.state_dict()) == 145


def test_has_the_published_names_and_shapes():
    with torch.device("meta"):
        network = ULite(3, 1)
    published = {published_name(network, key): tuple(value.shape) for key, value in network.state_dict().items()}

    assert published["e1.dw.dw_h.weight"] == (16, 1, 7, 1)
    assert published["e1.dw.dw_w.weight"] == (16, 1, 1, 7)
    assert published["d5.pw.weight"] == (256, 768, 1, 1)
    assert {re.sub(r"\.(weight|bias|running_\w+|num_\w+)$", "", name) for name in published} == {
        *(f"e{i}.{layer}" for i in range(1, 6) for layer in ("dw.dw_h", "dw.dw_w", "bn", "pw")),
        *(f"b5.{layer}" for layer in ("pw1", *(f"dw{i}.dw_{axis}" for i in (1, 2, 3) for axis in "hw"), "bn", "pw2")),
        *(f"d{i}.{layer}" for i in range(1, 6) for layer in ("pw", "bn", "dw.dw_h", "dw.dw_w", "pw2")),
        *("conv_in", "conv_out"),
    }


def described(weights, x):
    """U-Lite once more, from its description."""

    def axial(name, x, dilation=1):
        return x + sum(weights.filters(f"{name}.dw_{axis}", x, dilation=dilation) for axis in "hw")

    x = weights.conv("conv_in", x)
    skips = []
    for i in range(1, 6):
        skips.append(weights.batch_norm(f"e{i}.bn", axial(f"e{i}.dw", x)))
        x = functional.gelu(pooled(weights.conv(f"e{i}.pw", skips[-1])))
    p = weights.conv("b5.pw1", x)
    x = torch.cat([p, *(axial(f"b5.dw{i}", p, dilation=i) for i in (1, 2, 3))], dim=1)
    x = functional.gelu(weights.conv("b5.pw2", weights.batch_norm("b5.bn", x)))
    for i in range(5, 0, -1):
        x = torch.cat([x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3), skips[i - 1]], dim=1)
        x = axial(f"d{i}.dw", weights.batch_norm(f"d{i}.bn", weights.conv(f"d{i}.pw", x)))
        x = functional.gelu(weights.conv(f"d{i}.pw2", x))
    return weights.conv("conv_out", x)


def test_computes_what_is_described():
    assert_same_logits(ULite(3, 2), described)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_channels": 0}, "ULite: input_channels=0, expected at least 1"),
        ({"num_classes": 0}, "ULite: num_classes=0, expected at least 1"),
        ({"channels": 16}, "ULite: channels=16, expected a sequence of channel numbers"),
        ({"channels": (3, 4, 5)}, "ULite: channels=(3, 4, 5), expected 6 channel numbers of at least 1; pass as many"),
        ({"channels": (3, 4, 5, 6, 7, 10)}, "ULite: channels[5]=10, expected a multiple of 4, the parts of the"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ULite(**{"input_channels": 3, "num_classes": 2, "channels": SMALL, **arguments})
