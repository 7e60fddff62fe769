import re
from itertools import pairwise

import pytest
import torch
from torch.nn import functional
from torchvision.models import resnet18, resnet34, resnet50

from nnunet_mamba import create_network
from nnunet_mamba.networks.baselines.resnet_seg import ResNetSeg
from nnunet_mamba.networks.published_files import import_weights
from nnunet_mamba.networks.upstream_weights import WeightsMismatchError, load_upstream_weights

SMALL = {"blocks_per_stage": (1, 1, 1, 1), "decoder_channels": (4, 4, 4)}
# Of the encoder, and of a map's channels: 16 taps of every transposed convolution, and its bias.
SIZES = {"resnet18_seg": (resnet18, (512, 256, 128, 64, 1)), "resnet50_seg": (resnet50, (2048, 512, 256, 128, 1))}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", SIZES)
def test_is_torchvisions_encoder_and_transposed_convolutions(name):
    make, widths = SIZES[name]
    with torch.device("meta"):
        network, classifier = create_network(name, 3, 1), make(num_classes=1)

    encoder = {key: value.shape for key, value in network.encoder.state_dict().items()}
    assert encoder == {key: value.shape for key, value in classifier.state_dict().items() if not key.startswith("fc.")}
    layers = (*network.decoder.upsample_layers, *network.decoder.seg_layers)
    assert [count(layer) for layer in layers] == [16 * before * after + after for before, after in pairwise(widths)]


def test_encoder_computes_what_torchvisions_does():
    network, classifier = create_network("resnet18_seg", 3, 2).eval(), resnet18().eval()
    classifier.load_state_dict(network.encoder.state_dict(), strict=False)
    images = torch.randn(2, 3, 64, 96)

    with torch.no_grad():
        pooled = network.encoder(images).mean(dim=(2, 3))

        torch.testing.assert_close(classifier.fc(pooled), classifier(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 64), (33, 47)])
def test_logits_of_half_the_size_are_interpolated_to_the_images(size):
    network = ResNetSeg(3, 2, **SMALL).eval()
    halves = []
    network.decoder.register_forward_hook(lambda module, inputs, output: halves.append(output))

    with torch.no_grad():
        logits = network(torch.randn(1, 3, *size))

    # The second image is padded to 64 pixels.
    assert halves[0].shape == (1, 2, *((16, 32) if size == (32, 64) else (32, 32)))
    doubled = functional.interpolate(halves[0], scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(logits, doubled[..., : size[0], : size[1]])


def test_the_last_transposed_convolution_is_the_head_and_no_relu_follows_it():
    network = ResNetSeg(3, 5, **SMALL).eval()
    maps = []
    for layer in (*network.decoder.upsample_layers, *network.decoder.seg_layers):
        layer.register_forward_hook(lambda module, inputs, output: maps.append((inputs[0].clone(), output.clone())))

    with torch.no_grad():
        logits = network(torch.randn(1, 3, 32, 32))

    assert network.heads == (network.decoder.seg_layers[0],)
    for (_, output), (following, _) in pairwise(maps):
        assert torch.equal(following, output.relu())
    assert [tuple(output.shape) for _, output in maps] == [(1, 4, 2, 2), (1, 4, 4, 4), (1, 4, 8, 8), (1, 5, 16, 16)]
    assert logits.min() < 0


@pytest.mark.parametrize("input_channels", [1, 3, 4])
def test_images_have_any_number_of_channels(input_channels):
    network = ResNetSeg(input_channels, 2, **SMALL)

    layer = network.encoder.conv1
    assert (layer.in_channels, layer.stride, layer.padding, layer.bias) == (input_channels, (2, 2), (3, 3), None)
    # As torchvision draws them, by the outputs that a weight reaches.
    assert float(layer.weight.detach().std()) == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.05)
    assert network(torch.randn(2, input_channels, 32, 32)).shape == (2, 2, 32, 32)


@pytest.mark.parametrize("name", SIZES)
def test_begins_with_torchvisions_weights(name, tmp_path):
    classifier = SIZES[name][0]().state_dict()
    torch.save(classifier, tmp_path / "classifier.pth")

    imported = import_weights(tmp_path / "classifier.pth", name, tmp_path / "out.pth")

    assert (imported.input_channels, imported.report.source) == (3, "backbone")
    assert imported.report.mismatched == ()
    assert imported.report.unused == ("fc.weight", "fc.bias")
    assert {key.partition(".")[0] for key in imported.report.missing} == {"decoder"}
    written = torch.load(tmp_path / "out.pth", weights_only=True)["network_weights"]
    assert all(torch.equal(written[f"encoder.{key}"], classifier[key]) for key in classifier if key[:2] != "fc")


def test_weights_of_before_torch_counted_batches_are_taken(tmp_path):
    weights = {key: value for key, value in resnet18().state_dict().items() if "num_batches" not in key}

    report = load_upstream_weights(create_network("resnet18_seg", 3, 1), weights, partial=True)

    assert report.source == "backbone"
    assert all("num_batches" in key or key.startswith("decoder.") for key in report.missing)


@pytest.mark.parametrize(
    ("network", "make", "advice"),
    [
        ("resnet18_seg", resnet50, "create 'resnet50_seg' for them"),
        ("resnet50_seg", resnet18, "create 'resnet18_seg' for them"),
        ("vm_unet", resnet18, "create 'resnet18_seg' for them"),
        ("resnet18_seg", resnet34, "of another depth; ours begin with those of ResNet-18 and ResNet-50"),
    ],
)
def test_weights_of_another_depth_are_refused_though_some_of_them_fit(network, make, advice):
    with torch.device("meta"):
        weights = make().state_dict()
    weights = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in weights.items()}

    with pytest.raises(WeightsMismatchError, match=f"weights of a ResNet for classification.*{advice}"):
        load_upstream_weights(create_network(network, 3, 1), weights)


def test_weights_of_others_are_not_a_resnets():
    assert ResNetSeg.recognise_weights({"layers.0.weight", "layer5.weight"}, network=ResNetSeg) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_channels": 0}, "ResNetSeg: input_channels=0, expected at least 1"),
        ({"num_classes": 0}, "ResNetSeg: num_classes=0, expected at least 1"),
        ({"bottleneck": 1}, "ResNetSeg: bottleneck=1, expected True or False"),
        ({"blocks_per_stage": 2}, "ResNetSeg: blocks_per_stage=2, expected a sequence of numbers of blocks"),
        ({"blocks_per_stage": (2, 2)}, "ResNetSeg: blocks_per_stage=(2, 2), expected 4 numbers of blocks of at least"),
        ({"blocks_per_stage": (2, 2, 0, 2)}, "ResNetSeg: blocks_per_stage=(2, 2, 0, 2), expected 4 numbers of blocks"),
        ({"decoder_channels": "abc"}, "ResNetSeg: decoder_channels='abc', expected a sequence of channel numbers"),
        ({"decoder_channels": (8, 8)}, "ResNetSeg: decoder_channels=(8, 8), expected 3 channel numbers of at least 1"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ResNetSeg(**{"input_channels": 3, "num_classes": 2, **SMALL, **arguments})
