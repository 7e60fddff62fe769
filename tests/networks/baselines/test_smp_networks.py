import re

import pytest
import torch
from optional_networks import SMALL

from nnunet_mamba import create_network
from nnunet_mamba.networks.baselines.smp_networks import (
    SmpDPT,
    SmpSegformer,
    SmpUnet,
    SmpUnetPlusPlus,
)
from nnunet_mamba.networks.upstream_weights import load_upstream_weights

smp = pytest.importorskip("segmentation_models_pytorch", reason="segmentation_models_pytorch is not installed")

TINY = SMALL["SmpUnet"][2]
TINY_DPT = {**SMALL["SmpDPT"][2], "input_size": (32, 64)}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Nothing is downloaded: opening any connection fails."""
    import socket

    def refuse(*_):
        raise AssertionError("a network connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(
    ("ours", "theirs", "arguments", "their_arguments", "size"),
    [
        (SmpUnet, "Unet", TINY, {"encoder_name": TINY["encoder"], "decoder_channels": TINY["decoder_channels"]}, 32),
        (
            SmpUnetPlusPlus,
            "UnetPlusPlus",
            TINY,
            {"encoder_name": TINY["encoder"], "decoder_channels": TINY["decoder_channels"]},
            64,
        ),
        (
            SmpSegformer,
            "Segformer",
            {"encoder": "mit_b0", "decoder_channels": 16},
            {"encoder_name": "mit_b0", "decoder_segmentation_channels": 16},
            64,
        ),
        (
            SmpDPT,
            "DPT",
            {**TINY_DPT, "input_size": (64, 64)},
            {
                "encoder_name": TINY_DPT["encoder"],
                "decoder_intermediate_channels": TINY_DPT["token_channels"],
                "decoder_fusion_channels": 8,
                "img_size": (64, 64),
            },
            64,
        ),
    ],
    ids=["unet", "unet_plus_plus", "segformer", "dpt"],
)
def test_computes_what_the_library_computes_from_its_own_weights(ours, theirs, arguments, their_arguments, size):
    torch.manual_seed(0)
    library = getattr(smp, theirs)(encoder_weights=None, in_channels=2, classes=3, **their_arguments).eval()
    for value in library.state_dict().values():
        if value.is_floating_point():
            value.add_(torch.rand_like(value) * 0.1)
    network = ours(2, 3, **arguments).eval()
    images = torch.randn(2, 2, size, size)

    report = load_upstream_weights(network, library.state_dict())

    # DPT's encoder has a last norm and a head that nothing uses.
    assert (report.missing, report.mismatched, report.unused) == ((), (), ())
    with torch.no_grad():
        torch.testing.assert_close(network(images), library(images))


def test_an_encoder_may_begin_with_the_weights_of_a_classification_network():
    from torchvision.models import resnet18

    torch.manual_seed(0)
    network = create_network("smp_unet", 3, 2)
    classifier = resnet18().state_dict()

    report = load_upstream_weights(network, classifier, partial=True)

    assert report.source == "backbone"
    assert set(report.unused) == {"fc.weight", "fc.bias"}
    assert all(name.startswith(("decoder.", "segmentation_head.")) for name in report.missing)
    assert torch.equal(network.body.encoder.layer4[1].conv2.weight, classifier["layer4.1.conv2.weight"])


def test_dpt_is_built_without_memory_by_a_timm_that_reads_numbers(monkeypatch):
    import timm

    create = timm.create_model

    def reading(*arguments, **options):
        torch.full((), 3).item()
        return create(*arguments, **options)

    monkeypatch.setattr(timm, "create_model", reading)
    with torch.device("meta"):
        assert next(SmpDPT(3, 2, **TINY_DPT).parameters()).is_meta


@pytest.mark.parametrize(
    ("name", "overrides", "n_parameters"),
    [
        ("smp_unet", {"encoder": "resnet50"}, 32_521_105),
        ("smp_segformer", {"encoder": "mit_b2"}, 24_722_369),
        ("smp_dpt", {"encoder": "tu-vit_base_patch16_224"}, 121_053_697),
    ],
)
def test_other_encoders_are_overrides(name, overrides, n_parameters):
    with torch.device("meta"):
        network = create_network(name, 3, 1, **overrides)
    assert sum(parameter.numel() for parameter in network.parameters()) == n_parameters


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        (
            SmpUnet,
            {"encoder": "resnet17"},
            "SmpUnet: encoder='resnet17' is no encoder of segmentation-models-pytorch; did",
        ),
        (SmpUnet, {"encoder": "tu-nothing"}, "SmpUnet: encoder='tu-nothing' is no encoder of segmentation-models"),
        (
            SmpUnet,
            {"encoder": "tu-vit_tiny_patch16_224"},
            "SmpUnet: encoder='tu-vit_tiny_patch16_224' cannot encode images of any size in 5 halvings",
        ),
        (
            SmpUnet,
            {"encoder": "tu-swin_tiny_patch4_window7_224"},
            "(Input height (64) doesn't match model (224).); choo",
        ),
        (SmpUnet, {"encoder": None}, "SmpUnet: encoder=None is no encoder of segmentation-models-pytorch"),
        (SmpUnet, {"decoder_channels": 8}, "SmpUnet: decoder_channels=8, expected a sequence of channel numbers"),
        (SmpUnet, {"decoder_channels": (8, 8)}, "SmpUnet: decoder_channels=(8, 8), expected 5 channel numbers of at"),
        (SmpUnetPlusPlus, {"encoder": "mit_b1"}, "SmpUnetPlusPlus: encoder='mit_b1' has no map of half the resolution"),
        (SmpUnetPlusPlus, {"decoder_channels": (8, 8, 8, 8, 0)}, "(8, 8, 8, 8, 0), expected 5 channel numbers of at"),
        (SmpSegformer, {"decoder_channels": 0}, "SmpSegformer: decoder_channels=0, expected at least 1"),
        (SmpDPT, {**TINY_DPT, "encoder": "resnet18"}, "SmpDPT: encoder='resnet18' is no vision transformer with pat"),
        (SmpDPT, {**TINY_DPT, "encoder": "tu-resnet18"}, "SmpDPT: encoder='tu-resnet18' is no vision transformer"),
        (SmpDPT, {**TINY_DPT, "encoder": "tu-vit_base_patch32_224"}, "with patches of 16×16 pixels; choose such as"),
        (SmpDPT, {**TINY_DPT, "token_channels": (8, 8)}, "SmpDPT: token_channels=(8, 8), expected 4 channel numbers"),
        (SmpDPT, {**TINY_DPT, "decoder_channels": 1.5}, "SmpDPT: decoder_channels=1.5, expected a whole number of at"),
        (SmpDPT, {**TINY_DPT, "input_size": (32,)}, "SmpDPT: input_size=(32,), expected 2 numbers of at least 1"),
    ],
    ids=lambda value: getattr(value, "__name__", "") if isinstance(value, type) else str(value)[:40],
)
def test_refuses_arguments_that_do_not_fit(network, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        network(3, 2, **arguments)
