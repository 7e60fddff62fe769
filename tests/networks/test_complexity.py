import pytest
import torch
from torch import nn

from nnunet_mamba import create_network
from nnunet_mamba.networks.complexity import (
    Complexity,
    count_flops,
    count_multiply_adds,
    count_parameters,
    measure_complexity,
)
from nnunet_mamba.ops.flops import flop_counter
from nnunet_mamba.ops.scan.backends import VARIABLE

IMAGE = (3, 256, 256)
# Multiply-adds as published, in 10⁹, to the digits that were printed.
PUBLISHED = [
    ("ultralight_vm_unet", {}, "0.06024"),
    ("ultralight_vm_unet", {"n_parallel": 1}, "0.060"),
    ("ultralight_vm_unet", {"n_parallel": 2}, "0.060"),
    ("ultralight_vm_unet", {"encoder_mixer": "conv"}, "0.071"),
    ("ultralight_vm_unet", {"decoder_mixer": "conv"}, "0.064"),
    ("ultralight_vm_unet_no_mamba", {}, "0.075"),
    ("ultralbm_unet", {}, "0.06045"),
    ("ultralbm_unet", {"flip": "channels"}, "0.06045"),
    ("ultralbm_unet_t", {}, "0.01928"),
    ("vm_unet", {}, "4.1119"),
    ("unet_tumour", {}, "13.746"),
    ("unext", {}, "0.573"),
    ("u_lite", {}, "0.757"),
    ("cmunext_s", {}, "1.090"),
    ("lightm_unet", {}, "0.391"),
    ("malunet", {}, "0.083"),
    ("ege_unet", {}, "0.072"),
    ("vm_unet", {"depths_decoder": (2, 2, 2, 2)}, "4.3501"),
    ("vm_unet", {"depths": (2, 2, 3, 2), "depths_decoder": (2, 3, 2, 2)}, "4.8090"),
    ("vm_unet", {"depths": (2, 2, 4, 2), "depths_decoder": (2, 4, 2, 2)}, "5.2679"),
    ("vm_unet", {"depths": (2, 2, 9, 2), "depths_decoder": (2, 9, 2, 2)}, "7.5623"),
]
SMALL = [
    ("segformer_tumour", {"dims": (8, 16, 16, 32), "depths": (1, 1, 1, 1), "n_heads": (1, 2, 2, 4)}),
    ("ultralight_vm_unet", {}),
    ("ultralbm_unet", {}),
    ("vm_unet", {"dims": (16, 32, 64, 128), "depths": (1, 1, 1, 1), "depths_decoder": (1, 1, 1, 1)}),
    ("u_mamba_bot_tumour", {"features_per_stage": (8, 8, 16, 32), "strides": (1, 2, 2, 2)}),
]


@pytest.fixture
def build():
    """Build a network that has no numbers, in no time."""

    def build(name, channels=3, num_classes=1, **overrides):
        with torch.device("meta"):
            return create_network(name, channels, num_classes, **overrides)

    return build


@pytest.mark.parametrize(("name", "overrides", "published"), PUBLISHED, ids=lambda value: str(value))
def test_multiply_adds_are_those_of_the_papers(build, name, overrides, published):
    counted = count_multiply_adds(build(name, **overrides), IMAGE) / 1e9
    assert f"{counted:.{len(published.partition('.')[2])}f}" == published


@pytest.mark.parametrize(("name", "overrides"), SMALL, ids=[name for name, _ in SMALL])
def test_flops_are_those_of_a_real_run_on_any_backend(monkeypatch, name, overrides):
    network = create_network(name, 3, 2, **overrides).eval()
    image = torch.zeros(1, 3, 64, 32)
    monkeypatch.delenv(VARIABLE, raising=False)
    with torch.no_grad():
        network(image)  # the kernels' own test runs, once in a process
        with flop_counter() as fused:
            network(image)
        monkeypatch.setenv(VARIABLE, "reference")
        with flop_counter() as composed:
            network(image)
    assert count_flops(network, image.shape[1:]) == fused.get_total_flops() == composed.get_total_flops()


def test_flops_of_vm_unet_are_layers_projections_and_scans(build):
    flops, of_layers = (count_flops(build("vm_unet", scan=scan), IMAGE) for scan in (True, False))
    # 1.22 G multiply-adds of projections, 2.96 G FLOPs of scans.
    assert (flops - of_layers) / 1e9 == pytest.approx(2 * 1.22 + 2.96, abs=0.015)
    # Norms are not among the FLOPs, and are the only thing of the papers' count that is not.
    assert of_layers == 2 * (count_multiply_adds(build("vm_unet"), IMAGE) - 44_040_192)


@pytest.mark.parametrize(
    ("layer", "shape", "multiply_adds"),
    [
        (nn.Conv2d(6, 4, 3, groups=2), (6, 5, 7), 4 * 3 * 5 * (3 * 9)),
        (nn.Conv3d(2, 4, 1), (2, 5, 7, 3), 4 * 105 * 2),
        # As thop does: for every number of the result, although a stride of 2 leaves each a fourth of the kernel.
        (nn.ConvTranspose2d(6, 4, 2, stride=2), (6, 5, 7), 4 * 10 * 14 * (6 * 4)),
        (nn.Linear(7, 2), (6, 5, 7), 6 * 5 * 7 * 2),
        (nn.LayerNorm(7), (6, 5, 7), 4 * 210),
        (nn.BatchNorm2d(6), (6, 5, 7), 4 * 210),
        (nn.InstanceNorm2d(6), (6, 5, 7), 2 * 210),
        (nn.InstanceNorm2d(6, affine=True), (6, 5, 7), 4 * 210),
        (nn.Upsample(scale_factor=2), (6, 5, 7), 840),
        (nn.Upsample(scale_factor=2, mode="bilinear"), (6, 5, 7), 11 * 840),
        (nn.Upsample(scale_factor=2, mode="bicubic"), (6, 5, 7), 259 * 840),
        (nn.Upsample(scale_factor=2, mode="trilinear"), (6, 5, 7, 2), 0),
        (nn.Upsample(scale_factor=2, mode="nearest-exact"), (6, 5, 7), 0),
        (nn.GroupNorm(2, 6), (6, 5, 7), 0),
        (nn.GELU(), (6, 5, 7), 0),
    ],
    ids=lambda value: str(value),
)
def test_what_a_layer_counts(layer, shape, multiply_adds):
    assert count_multiply_adds(layer, shape) == multiply_adds


def test_forward_direction_alone_counts_half_of_the_mamba_layers(build):
    none, one, both = (
        count_multiply_adds(build("ultralbm_unet", **overrides), IMAGE)
        for overrides in (
            {"branches": ("identity", "identity", "conv", "identity")},
            {"directions": "forward"},
            {},
        )
    )
    assert both - none == 2 * (one - none) > 0


def test_a_shared_layer_has_its_parameters_once_and_its_work_twice():
    layer = nn.Conv2d(3, 3, 1)
    found = measure_complexity(nn.Sequential(layer, layer), (3, 4, 5))
    assert found == Complexity(n_parameters=12, multiply_adds=2 * 20 * 9, flops=2 * 2 * 20 * 9)


@pytest.mark.parametrize(("name", "overrides"), SMALL, ids=[name for name, _ in SMALL])
def test_counting_leaves_the_network_as_it_is(name, overrides):
    network = create_network(name, 3, 2, **overrides)
    network.encoder.eval() if hasattr(network, "encoder") else network.layers.eval()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    measure_complexity(network, (3, 64, 64))
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("shape", [(256, 256), (1, 3, 256, 256, 1), (3, 0, 256)])
def test_refuses_what_is_no_image(build, shape):
    with pytest.raises(ValueError, match=r"image_shape=\(.*\), expected channels .* pass such as \(3, 256, 256\)"):
        measure_complexity(build("ultralight_vm_unet"), shape)


def test_says_what_the_network_says_about_the_channels(build):
    with pytest.raises(ValueError, match=r"input of shape \(1, 4, 64, 64\), expected \(b, 3, h, w\)"):
        measure_complexity(build("ultralight_vm_unet"), (4, 64, 64))


def test_counts_parameters(build):
    assert count_parameters(build("ultralight_vm_unet")) == 49_457
