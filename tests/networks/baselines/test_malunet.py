"""MALUNet, against a second implementation: functions of a dictionary of weights under their published names."""

import math
import re
from itertools import pairwise

import pytest
import torch
from torch.nn import functional

from nnunet_mamba import create_network
from nnunet_mamba.blocks.baselines.external_attention import ExternalAttention
from nnunet_mamba.networks.baselines.malunet import MALUNet
from nnunet_mamba.networks.published_files import import_weights
from nnunet_mamba.networks.upstream_weights import WeightsMismatchError, load_upstream_weights

CHANNELS = (8, 16, 24, 32, 48, 64)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


def published_shapes():
    """Every published weight with its shape, of 3 channels and 1 class."""
    shapes = {}

    def layer(name, out, in_channels, *taps, bias=True):
        shapes[f"{name}.weight"] = (out, in_channels, *taps)
        if bias:
            shapes[f"{name}.bias"] = (out,)

    def norm(name, channels):
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (channels,)

    def external_attention(name, c):
        layer(f"{name}.conv1", c, c, 1, 1)
        layer(f"{name}.linear_0", 4 * c, c, 1, bias=False)
        layer(f"{name}.linear_1", c, 4 * c, 1, bias=False)
        layer(f"{name}.conv2", c, c, 1, 1, bias=False)
        norm(f"{name}.norm_layer", c)

    def dilated_gated_attention(name, a, b):
        for part in range(4):
            layer(f"{name}.mda{part}", a // 4, 1, 3, 3)
        norm(f"{name}.norm_layer", a)
        layer(f"{name}.conv", a, a, 1, 1)
        for gate, out, taps in (("w1", a, 3), ("w2", a, 5), ("wo", b, 3)):
            layer(f"{name}.gau.{gate}.0.conv1", a, 1, taps, taps)
            norm(f"{name}.gau.{gate}.0.norm_layer", a)
            layer(f"{name}.gau.{gate}.0.conv2", out, a, 1, 1)
        layer(f"{name}.gau.cw", b, a, 1, 1)

    for stage, (a, b) in enumerate(pairwise((3, *CHANNELS)), start=1):
        if stage <= 3:
            layer(f"encoder{stage}.0", b, a, 3, 3)
        else:
            external_attention(f"encoder{stage}.0", a)
            dilated_gated_attention(f"encoder{stage}.1", a, b)
        if stage <= 5:
            norm(f"ebn{stage}", b)
    for stage, (a, b) in enumerate(pairwise(CHANNELS[::-1]), start=1):
        if stage <= 3:
            dilated_gated_attention(f"decoder{stage}.0", a, b)
            external_attention(f"decoder{stage}.1", b)
        else:
            layer(f"decoder{stage}.0", b, a, 3, 3)
        norm(f"dbn{stage}", b)
    layer("scab.catt.get_all_att", 1, 1, 3, bias=False)
    for level, c in enumerate(CHANNELS[:-1], start=1):
        layer(f"scab.catt.att{level}", c, 128)
    layer("scab.satt.shared_conv2d.0", 1, 2, 7, 7)
    layer("final", 1, 8, 1, 1)
    return shapes


@pytest.fixture
def published():
    """Weights of all published names, in double precision, none of which is near an initial value."""
    return {
        name: torch.rand(shape, dtype=torch.float64) - 0.4
        if len(shape) == 1
        else 2 * torch.randn(shape, dtype=torch.float64) / math.sqrt(math.prod(shape[1:]))
        for name, shape in published_shapes().items()
    }


class PublishedMALUNet:
    """The network as its facts have it, in functions of the published weights."""

    def __init__(self, weights):
        self.weights = weights

    def conv(self, name, x, **options):
        convolve = functional.conv1d if x.ndim == 3 else functional.conv2d
        return convolve(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"), **options)

    def norm(self, name, x):
        return functional.group_norm(x, 4, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], 1e-5)

    def external_attention(self, name, x):
        v = self.conv(f"{name}.conv1", x)
        s = torch.einsum("kc,bcn->bkn", self.weights[f"{name}.linear_0.weight"][..., 0], v.reshape(*v.shape[:2], -1))
        s = torch.exp(s - s.amax(dim=2, keepdim=True))
        s = s / s.sum(dim=2, keepdim=True)
        s = s / (1e-9 + s.sum(dim=1, keepdim=True))
        y = torch.einsum("ck,bkn->bcn", self.weights[f"{name}.linear_1.weight"][..., 0], s).reshape(v.shape)
        return functional.gelu(self.norm(f"{name}.norm_layer", self.conv(f"{name}.conv2", y)) + x)

    def projection(self, name, x, taps):
        x = self.conv(f"{name}.conv1", x, padding=taps // 2, groups=x.shape[1])
        return self.conv(f"{name}.conv2", self.norm(f"{name}.norm_layer", x))

    def dilated_gated_attention(self, name, x):
        width = x.shape[1] // 4
        parts = [
            self.conv(f"{name}.mda{i}", x[:, i * width : (i + 1) * width], padding=d, dilation=d, groups=width)
            for i, d in enumerate((7, 5, 2, 1))
        ]
        u = functional.gelu(self.conv(f"{name}.conv", self.norm(f"{name}.norm_layer", torch.cat(parts, dim=1))))
        gate = self.projection(f"{name}.gau.w1.0", u, 3).sigmoid()
        gate = gate * functional.gelu(self.projection(f"{name}.gau.w2.0", u, 5))
        return functional.gelu(self.projection(f"{name}.gau.wo.0", gate, 3)) + self.conv(f"{name}.gau.cw", u)

    def bridge(self, skips):
        weighed, refined = [], []
        for skip in skips:
            seen = torch.cat([skip.mean(dim=1, keepdim=True), skip.amax(dim=1, keepdim=True)], dim=1)
            positions = self.conv("scab.satt.shared_conv2d.0", seen, padding=9, dilation=3).sigmoid()
            weighed.append(positions * skip)
            refined.append(positions * skip + skip)
        z = torch.cat([skip.mean(dim=(2, 3)) for skip in refined], dim=1)
        z = self.conv("scab.catt.get_all_att", z[:, None], padding=1)[:, 0]
        bridged = []
        for level, (skip, product) in enumerate(zip(refined, weighed, strict=True), start=1):
            name = f"scab.catt.att{level}"
            channels = (z @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]).sigmoid()
            bridged.append(channels[:, :, None, None] * skip + product)
        return bridged

    def __call__(self, x):
        skips = []
        for stage in range(1, 7):
            if stage <= 3:
                x = self.conv(f"encoder{stage}.0", x, padding=1)
            else:
                x = self.dilated_gated_attention(f"encoder{stage}.1", self.external_attention(f"encoder{stage}.0", x))
            if stage <= 5:
                x = functional.max_pool2d(self.norm(f"ebn{stage}", x), 2)
            x = functional.gelu(x)
            skips.append(x)
        skips = self.bridge(skips[:5])
        for stage in range(1, 6):
            if stage <= 3:
                x = self.external_attention(f"decoder{stage}.1", self.dilated_gated_attention(f"decoder{stage}.0", x))
            else:
                x = self.conv(f"decoder{stage}.0", x, padding=1)
            x = self.norm(f"dbn{stage}", x)
            x = functional.gelu(x if stage == 1 else self.twice(x)) + skips[5 - stage]
        return self.twice(self.conv("final", x))

    @staticmethod
    def twice(x):
        return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def test_has_the_published_weights_and_numbers_of_parameters():
    shapes = published_shapes()
    with torch.device("meta"):
        network = MALUNet(3, 1)
        without_bridge = MALUNet(3, 1, bridge=False)
        of_convolutions = MALUNet(3, 1, split_att="conv")

    assert len(shapes) == len(network.state_dict()) == 279
    assert sum(map(math.prod, shapes.values())) == count(network) == count(of_convolutions) == 177_943
    assert count(without_bridge) == 161_329
    assert count(network.skips) == 16_614
    assert [count(block) for block in network.encoder[3].mixer] == [5_832, 4_936]
    assert sum(math.prod(shapes[name]) for name in shapes if re.search("bn|norm", name)) == 2_912
    assert shapes["encoder4.0.linear_0.weight"] == (96, 24, 1)
    assert shapes["encoder4.0.linear_1.weight"] == (24, 96, 1)
    assert shapes["encoder4.1.mda0.weight"] == (6, 1, 3, 3)
    assert shapes["encoder4.1.gau.w2.0.conv1.weight"] == (24, 1, 5, 5)
    assert shapes["scab.catt.att5.weight"] == (48, 128)


def test_computes_with_published_weights_what_the_published_network_does(published):
    network = MALUNet(3, 1).double().eval()
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64)

    load_upstream_weights(network, published)
    with torch.no_grad():
        expected = PublishedMALUNet(published)(images)
        logits = network(images)

    assert float(expected.std()) > 0.1
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)


def test_a_published_file_is_imported_with_both_memories(published, tmp_path):
    torch.save({name: value.float() for name, value in published.items()}, tmp_path / "best.pth")

    imported = import_weights(tmp_path / "best.pth", "malunet", tmp_path / "out.pth")

    assert (imported.input_channels, imported.num_classes, imported.unlike_trainer) == (3, 1, ())
    assert (imported.report.missing, imported.report.unused, imported.report.mismatched) == ((), (), ())
    network = create_network("malunet", 3, 1)
    network.load_state_dict(torch.load(tmp_path / "out.pth", weights_only=True)["network_weights"])
    attention = network.encoder[3].mixer[0]
    for ours, name in ((attention.memory_keys, "linear_0"), (attention.memory_values, "linear_1")):
        assert torch.equal(ours.weight, published[f"encoder4.0.{name}.weight"].float())


def test_its_published_weights_are_told_from_those_of_networks_with_its_skeleton(published):
    with pytest.raises(WeightsMismatchError, match="create 'malunet' for them"):
        load_upstream_weights(create_network("ultralight_vm_unet", 3, 1), published)


def test_both_memories_begin_as_one_and_learn_by_themselves():
    network = MALUNet(3, 1)

    attentions = [module for module in network.modules() if isinstance(module, ExternalAttention)]
    assert len(attentions) == 6
    for attention in attentions:
        keys, values = attention.memory_keys.weight, attention.memory_values.weight
        assert torch.equal(keys[..., 0], values[..., 0].T)
        assert float(values.detach().std()) == pytest.approx(math.sqrt(2 / len(values)), rel=0.1)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    network(torch.randn(1, 3, 64, 64)).square().mean().backward()
    optimizer.step()
    assert not any(
        torch.allclose(attention.memory_keys.weight[..., 0], attention.memory_values.weight[..., 0].T)
        for attention in attentions
    )
