"""EGE-UNet, against a second implementation: functions of a dictionary of weights under their published names."""

import math
from itertools import pairwise

import pytest
import torch
from torch.nn import functional

from nnunet_mamba import create_network
from nnunet_mamba.networks.baselines.ege_unet import EGEUNet
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

    def layer(name, out, in_channels, *taps):
        shapes[f"{name}.weight"] = (out, in_channels, *taps)
        shapes[f"{name}.bias"] = (out,)

    def norm(name, channels):
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (channels,)

    def multi_axis_product(name, a, b):
        q = a // 4
        shapes[f"{name}.params_xy"] = (1, q, 8, 8)
        shapes[f"{name}.params_zx"] = shapes[f"{name}.params_zy"] = (1, 1, q, 8)
        norm(f"{name}.norm1", a)
        norm(f"{name}.norm2", a)
        for axes, n_axes in (("xy", 2), ("zx", 1), ("zy", 1)):
            layer(f"{name}.conv_{axes}.0", q, 1, *(3,) * n_axes)
            layer(f"{name}.conv_{axes}.2", q, q, *(1,) * n_axes)
        layer(f"{name}.dw.0", q, q, 1, 1)
        layer(f"{name}.dw.2", q, 1, 3, 3)
        layer(f"{name}.ldw.0", a, 1, 3, 3)
        layer(f"{name}.ldw.2", b, a, 1, 1)

    for stage, (a, b) in enumerate(pairwise((3, *CHANNELS)), start=1):
        if stage <= 3:
            layer(f"encoder{stage}.0", b, a, 3, 3)
        else:
            multi_axis_product(f"encoder{stage}.0", a, b)
        if stage <= 5:
            norm(f"ebn{stage}", b)
    for stage, (a, b) in enumerate(pairwise(CHANNELS[::-1]), start=1):
        if stage <= 3:
            multi_axis_product(f"decoder{stage}.0", a, b)
        else:
            layer(f"decoder{stage}.0", b, a, 3, 3)
        norm(f"dbn{stage}", b)
        layer(f"gt_conv{stage}.0", 1, b, 1, 1)
    for level, (low, high) in enumerate(pairwise(CHANNELS), start=1):
        layer(f"GAB{level}.pre_project", low, high, 1, 1)
        for group in range(4):
            norm(f"GAB{level}.g{group}.0", low // 2 + 1)
            layer(f"GAB{level}.g{group}.1", low // 2 + 1, 1, 3, 3)
        norm(f"GAB{level}.tail_conv.0", 2 * low + 4)
        layer(f"GAB{level}.tail_conv.1", low, 2 * low + 4, 1, 1)
    layer("final", 1, 8, 1, 1)
    return shapes


@pytest.fixture
def published():
    """Weights of all published names, in double precision, none of which is near an initial value."""
    return {
        name: torch.rand(shape, dtype=torch.float64) - 0.4
        if len(shape) == 1 or "params" in name
        else 2 * torch.randn(shape, dtype=torch.float64) / math.sqrt(math.prod(shape[1:]))
        for name, shape in published_shapes().items()
    }


class PublishedEGEUNet:
    """The network as its facts have it, in functions of the published weights."""

    def __init__(self, weights):
        self.weights = weights

    def conv(self, name, x, **options):
        convolve = functional.conv1d if x.ndim == 3 else functional.conv2d
        return convolve(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], **options)

    def depthwise(self, name, x, dilation=1):
        return self.conv(name, x, padding=dilation, dilation=dilation, groups=x.shape[1])

    def group_norm(self, name, x):
        return functional.group_norm(x, 4, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], 1e-5)

    def channel_norm(self, name, x):
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, unbiased=False)
        weight, bias = (self.weights[f"{name}.{kind}"][:, None, None] for kind in ("weight", "bias"))
        return (x - mean) / torch.sqrt(variance + 1e-6) * weight + bias

    def depthwise_first(self, name, x):
        return self.conv(f"{name}.2", functional.gelu(self.depthwise(f"{name}.0", x)))

    def multi_axis_product(self, name, x):
        height, width = x.shape[2:]
        q = x.shape[1] // 4
        x = self.channel_norm(f"{name}.norm1", x)
        plane = self.resized(self.weights[f"{name}.params_xy"], (height, width))
        rows = self.resized(self.weights[f"{name}.params_zx"], (q, height))
        columns = self.resized(self.weights[f"{name}.params_zy"], (q, width))
        by_row = self.depthwise_first(f"{name}.conv_zx", rows[0]).reshape(1, q, height, 1)
        by_column = self.depthwise_first(f"{name}.conv_zy", columns[0]).reshape(1, q, 1, width)
        last = functional.gelu(self.conv(f"{name}.dw.0", x[:, 3 * q :]))
        x = torch.cat(
            [
                x[:, :q] * self.depthwise_first(f"{name}.conv_xy", plane),
                x[:, q : 2 * q] * by_row,
                x[:, 2 * q : 3 * q] * by_column,
                self.depthwise(f"{name}.dw.2", last),
            ],
            dim=1,
        )
        return self.depthwise_first(f"{name}.ldw", self.channel_norm(f"{name}.norm2", x))

    def bridge(self, name, high, low, mask):
        high = self.resized(self.conv(f"{name}.pre_project", high), low.shape[2:])
        width = low.shape[1] // 4
        groups = []
        for i, dilation in enumerate((1, 2, 5, 7)):
            part = slice(i * width, (i + 1) * width)
            group = self.channel_norm(f"{name}.g{i}.0", torch.cat([high[:, part], low[:, part], mask], dim=1))
            groups.append(self.depthwise(f"{name}.g{i}.1", group, dilation))
        return self.conv(f"{name}.tail_conv.1", self.channel_norm(f"{name}.tail_conv.0", torch.cat(groups, dim=1)))

    def __call__(self, x):
        """Return the logits of the main map, and those of the supervised ones from fine to coarse."""
        size, maps, supervised = x.shape[2:], [], []
        for stage in range(1, 7):
            if stage <= 3:
                x = self.conv(f"encoder{stage}.0", x, padding=1)
            else:
                x = self.multi_axis_product(f"encoder{stage}.0", x)
            if stage <= 5:
                x = functional.max_pool2d(self.group_norm(f"ebn{stage}", x), 2)
            x = functional.gelu(x)
            maps.append(x)
        high = maps[5]
        for stage in range(1, 6):
            level = 6 - stage
            if stage <= 3:
                x = self.multi_axis_product(f"decoder{stage}.0", x)
            else:
                x = self.conv(f"decoder{stage}.0", x, padding=1)
            x = self.group_norm(f"dbn{stage}", x)
            x = functional.gelu(x if stage == 1 else self.resized(x, [2 * length for length in x.shape[2:]]))
            mask = self.conv(f"gt_conv{stage}.0", x)
            supervised.insert(0, self.resized(mask, size))
            high = self.bridge(f"GAB{level}", high, maps[level - 1], mask)
            x = x + high
        return self.resized(self.conv("final", x), size), supervised

    @staticmethod
    def resized(x, size):
        return functional.interpolate(x, tuple(size), mode="bilinear", align_corners=True)


def test_has_the_published_weights_and_numbers_of_parameters():
    shapes = published_shapes()
    with torch.device("meta"):
        network = EGEUNet(3, 1)

    assert len(shapes) == len(network.state_dict()) == 314
    assert sum(map(math.prod, shapes.values())) == count(network) == 53_374
    assert count(network.encoder[3].mixer) == 1_952
    assert count(network.decoder.bridges[-1]) == 584
    assert shapes["encoder4.0.params_xy"] == (1, 6, 8, 8)
    assert shapes["GAB1.g0.0.weight"] == (5,)
    assert shapes["GAB1.g0.1.weight"] == (5, 1, 3, 3)
    assert shapes["GAB1.tail_conv.1.weight"] == (8, 20, 1, 1)
    assert shapes["gt_conv1.0.weight"] == (1, 48, 1, 1)


def test_computes_with_published_weights_what_the_published_network_does(published):
    network = EGEUNet(3, 1).double().eval()
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64)

    load_upstream_weights(network, published)
    with torch.no_grad():
        expected, _ = PublishedEGEUNet(published)(images)
        logits = network(images)

    assert float(expected.std()) > 0.1
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)


def test_its_supervised_masks_are_the_published_ones_from_the_start(published):
    network = EGEUNet(3, 1, deep_supervision=True).double().eval()
    images = torch.randn(1, 3, 64, 96, dtype=torch.float64)

    report = load_upstream_weights(network, published, partial=True)
    with torch.no_grad():
        main, supervised = PublishedEGEUNet(published)(images)
        outputs = network(images)

    # The published maps are the masks themselves, without a head of their own.
    assert all(name.startswith("decoder.seg_layers.") for name in report.missing)
    assert (len(report.missing), report.unused, report.mismatched) == (10, (), ())
    for ours, theirs in zip(outputs, [main, *supervised], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_a_mask_begins_as_the_probability_of_all_classes_but_the_first():
    network = EGEUNet(3, 2, deep_supervision=True).eval()
    masks = []
    for draw in network.decoder.masks:
        draw.register_forward_hook(lambda module, inputs, output: masks.append(output))

    with torch.no_grad():
        _, *supervised = network(torch.randn(2, 3, 64, 96))

    for logits, mask in zip(supervised, reversed(masks), strict=True):
        expected = PublishedEGEUNet.resized(mask, (64, 96)).sigmoid()
        torch.testing.assert_close(logits.softmax(dim=1)[:, 1:], expected)


def test_a_published_file_is_imported(published, tmp_path):
    torch.save({name: value.float() for name, value in published.items()}, tmp_path / "best.pth")

    imported = import_weights(tmp_path / "best.pth", "ege_unet", tmp_path / "out.pth")

    assert (imported.input_channels, imported.num_classes, imported.unlike_trainer) == (3, 1, ())
    assert (imported.report.missing, imported.report.unused, imported.report.mismatched) == ((), (), ())
    written = torch.load(tmp_path / "out.pth", weights_only=True)["network_weights"]
    # What nnU-Net asks of pretrained weights: all but the heads, which the trainer's network has more of.
    needed = create_network("ege_unet", 3, 2, deep_supervision=True).state_dict()
    assert {name for name in needed if ".seg_layers." not in name} <= written.keys()
    assert torch.equal(written["decoder.bridges.0.groups.3.1.weight"], published["GAB5.g3.1.weight"].float())
    assert torch.equal(written["decoder.masks.0.weight"], published["gt_conv1.0.weight"].float())


def test_its_published_weights_are_told_from_those_of_networks_with_its_skeleton(published):
    with pytest.raises(WeightsMismatchError, match="create 'ege_unet' for them"):
        load_upstream_weights(create_network("malunet", 3, 1), published)


def test_weights_along_the_axes_begin_as_ones():
    network = EGEUNet(3, 1)

    for block in (network.encoder[3].mixer, network.bottleneck, network.decoder.stages[0].mixer):
        assert all(
            torch.equal(weights, torch.ones_like(weights)) for weights in (block.plane, block.rows, block.columns)
        )
    assert float(network.encoder[2].mixer.weight.detach().std()) == pytest.approx(math.sqrt(2 / (24 * 9)), rel=0.1)
