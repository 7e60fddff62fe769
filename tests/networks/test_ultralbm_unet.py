import re

import pytest
import torch
from contract_cases import assert_near
from torch import nn
from torch.export import Dim
from torch.nn import functional

from nnunet_mamba.networks.ultralbm_unet import UltraLBMUNet

CONVOLUTIONS = ("conv",) * 4


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture
def network():
    return UltraLBMUNet(3, 2).eval()


@pytest.mark.parametrize(
    ("n_parameters", "options"),
    [
        (34_166, {}),
        (10_956, {"channels": (4, 8, 12, 16, 24, 32)}),
        (35_798, {"mixers": ("glmbp", "glmbp", "glmbp")}),
        (32_214, {"mixers": ("lmbp", "lmbp", "glmbp")}),
        (45_494, {"mixers": ("conv", "glmbp", "glmbp")}),
        (43_286, {"shared_mamba": False}),
        (34_166, {"directions": "forward"}),
        (27_670, {"branches": ("attention", "attention", "conv", "identity")}),
        (36_838, {"branches": ("conv", "conv", "mamba", "identity")}),
        (34_166, {"branches": ("conv", "mamba", "mamba", "mamba")}),
        (31_494, {"branches": ("identity", "identity", "mamba", "mamba")}),
        (36_688, {"local_branches": CONVOLUTIONS, "kernel_sizes": (7, 5, 7)}),
        (36_326, {"kernel_sizes": (7, 7, 7)}),
        (32_726, {"kernel_sizes": (3, 3, 3)}),
        (33_174, {"kernel_sizes": (3, 3, 5)}),
        (33_494, {"kernel_sizes": (3, 5, 5)}),
        (34_165, {"skip_scale": "none"}),
        (34_170, {"skip_scale": "stage"}),
    ],
    ids=str,
)
def test_options_have_the_published_number_of_parameters(n_parameters, options):
    assert count(UltraLBMUNet(3, 1, **options)) == n_parameters


@pytest.mark.parametrize(
    "options",
    [
        {"mixers": ("glmbp", "conv", "lmbp"), "kernel_sizes": (1, 3, 5)},
        {"mixers": ("conv",) * 3},
        {"branches": ("attention", "attention", "conv", "identity")},
        {"branches": ("mamba", "conv", "attention", "mamba"), "directions": "forward"},
        {"local_branches": CONVOLUTIONS, "shared_mamba": False},
        {"flip": "channels"},
        {"skip_scale": "none"},
        {"skip_scale": "stage"},
        {"channels": [2, 4, 4, 8, 12]},
        {"channels": (4, 8, 8, 8)},
    ],
    ids=str,
)
def test_options_train(options):
    network = UltraLBMUNet(1, 3, **options)

    logits = network(torch.randn(2, 1, 64, 32))
    logits.square().mean().backward()

    assert logits.shape == (2, 3, 64, 32)
    assert [name for name, parameter in network.named_parameters() if not parameter.grad.any()] == []


@pytest.mark.parametrize("options", [{}, {"strides": ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))}], ids=str)
def test_volumes_train(options):
    network = UltraLBMUNet(1, 2, channels=(4, 8, 12, 16, 24, 32), spatial_dims=3, **options)

    logits = network(torch.randn(2, 1, 6, 33, 20))
    logits.square().mean().backward()

    assert logits.shape == (2, 2, 6, 33, 20)
    assert [name for name, parameter in network.named_parameters() if not parameter.grad.any()] == []


def test_decoder_mirrors_the_mixers_and_kernel_sizes():
    network = UltraLBMUNet(3, 1, mixers=("lmbp", "conv", "glmbp"), kernel_sizes=(3, 5, 7))

    def describe(mixer):
        if isinstance(mixer, nn.Conv2d):
            return "conv"
        return "mamba" in mixer.mixers, mixer.convolutions[0].depthwise.kernel_size[0]

    encoder = [describe(module) for module in (*(stage.mixer for stage in network.encoder), network.bottleneck)]
    decoder = [describe(stage.mixer) for stage in network.decoder.stages]

    assert encoder == ["conv", "conv", "conv", (False, 3), "conv", (True, 7)]
    assert decoder == [(True, 7), "conv", (False, 3), "conv", "conv"]


@pytest.mark.parametrize(("kind", "factors"), [("shared", [0.5] * 5), ("stage", [1, 2, 3, 4, 5])])
def test_skips_are_scaled(kind, factors):
    network = UltraLBMUNet(3, 1, skip_scale=kind)
    assert torch.equal(network.skips.scale, torch.ones_like(network.skips.scale))
    network.skips.scale.data = torch.tensor(factors[0] if kind == "shared" else factors).float()

    scaled = network.skips([torch.full((1, 2, 3, 3), 2.0)] * 5)

    assert [float(skip.max().detach()) for skip in scaled] == [2 * factor for factor in factors]


def test_attention_stays_near_full_precision_under_autocast():
    network = UltraLBMUNet(3, 2, branches=("attention", "attention", "conv", "identity")).eval()
    images = torch.randn(2, 3, 64, 64)

    with torch.no_grad():
        expected = network(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = network(images)

    assert result.isfinite().all()
    # bfloat16 keeps 8 bits; a dozen layers lose a few of them.
    assert (result - expected).abs().max() < 0.1 * expected.abs().max()


# Every kind of stage once, so that tracing takes less time.
SHALLOW = (8, 8, 16, 16)
# Options that no preset has.
OTHER_PATHS = [{"flip": "channels"}, {"branches": ("attention", "conv", "attention", "identity")}]


@pytest.mark.parametrize("options", OTHER_PATHS, ids=str)
def test_compiles_into_one_graph(options):
    network = UltraLBMUNet(3, 2, channels=SHALLOW, **options).eval()
    image = torch.randn(1, 3, 40, 32)
    compiled = torch.compile(network, backend="eager", fullgraph=True)

    with torch.no_grad():
        # A compiled network has torch's layers where an eager one has fused operators.
        assert_near(compiled(image), network(image), 1e-4)


@pytest.mark.slow
def test_compiled_training_step_has_the_gradients():
    network = UltraLBMUNet(3, 2, channels=SHALLOW)
    images = torch.randn(2, 3, 32, 32)
    network(images).square().mean().backward()
    expected = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    network.zero_grad()

    torch.compile(network, backend="aot_eager", fullgraph=True)(images).square().mean().backward()

    for name, parameter in network.named_parameters():
        error, scale = (parameter.grad - expected[name]).abs().max(), expected[name].abs().max()
        assert error <= 1e-3 * scale + 1e-7, name


@pytest.mark.parametrize("options", OTHER_PATHS, ids=str)
def test_exports_for_any_batch_and_size(options):
    network = UltraLBMUNet(3, 2, channels=SHALLOW, **options).eval()
    height, width = Dim("height", min=2, max=64) * 8, Dim("width", min=2, max=64) * 8
    sizes = {0: Dim("batch", min=1, max=16), 2: height, 3: width}

    program = torch.export.export(network, (torch.randn(2, 3, 64, 96),), dynamic_shapes={"x": sizes})

    images = torch.randn(3, 3, 96, 64)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images), network(images), rtol=1e-4, atol=1e-5)


def test_initial_values_are_the_published_ones():
    network = UltraLBMUNet(3, 1, channels=(128,) * 6)

    for module in network.modules():
        if isinstance(module, nn.Linear):
            assert module.bias is None or not module.bias.any()
            if module.weight.numel() > 1000:
                assert float(module.weight.detach().std()) == pytest.approx(0.02, rel=0.15)
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] ** 2 * module.out_channels / module.groups
            if module.weight.numel() > 200:
                assert float(module.weight.detach().std()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.25)
            assert module.bias is None or not module.bias.any()
        if isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones(32))
    assert torch.equal(network.bottleneck.skip_scale, torch.ones(1))
    assert torch.equal(network.bottleneck.mixers["mamba"].mambas[0].D, torch.ones(64))


def test_learns_a_disc():
    network = UltraLBMUNet(1, 1)
    distance = torch.linspace(-1, 1, 32).square()
    disc = ((distance[:, None] + distance) < 0.4).float()[None, None]
    image = disc + 0.1 * torch.randn(4, 1, 32, 32)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)

    for _ in range(60):
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(network(image), disc.expand(4, -1, -1, -1))
        loss.backward()
        optimizer.step()

    prediction = network(image) > 0
    assert 2 * (prediction & (disc > 0)).sum() / (prediction.sum() + 4 * disc.sum()) > 0.9


def test_refuses_to_train_on_one_image_whose_deepest_level_is_one_position():
    with pytest.raises(ValueError, match=r"\(1, 12, 1, 1\) in training, expected more than one position over all"):
        UltraLBMUNet(3, 1)(torch.randn(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_channels": 0}, "input_channels=0, expected at least 1"),
        ({"channels": (8, 16, 24)}, "channels=(8, 16, 24) has 3 levels, expected at least 4"),
        ({"channels": (8, 16, 24, 32, 48, 66)}, "channels[5]=66 cannot be split into 4 equal chunks"),
        ({"channels": (8, 16, 2, 32, 48, 64)}, "channels[2]=2 cannot be split into 4 equal chunks"),
        ({"mixers": ("lmbp", "glmbp")}, "mixers=('lmbp', 'glmbp') has 2 entries, expected 3"),
        ({"mixers": ("lmbp", "pvm", "glmbp")}, "mixers[1]='pvm', expected 'glmbp', 'lmbp' or 'conv'"),
        ({"kernel_sizes": (3, 5, 7, 9)}, "kernel_sizes=(3, 5, 7, 9) has 4 entries, expected 3"),
        ({"kernel_sizes": (3, 4, 7)}, "kernel_sizes[1]=4, expected a positive odd number"),
        ({"branches": ("mamba",) * 5}, "has 5 branches, expected 4"),
        ({"local_branches": ("conv", "conv", "mlp", "conv")}, "local_branches[2]='mlp', expected one of 'mamba', "),
        ({"directions": "back"}, "UltraLBMUNet: directions='back', expected 'both' or 'forward'"),
        ({"flip": "rows", "mixers": ("conv",) * 3}, "UltraLBMUNet: flip='rows', expected 'sequence' or 'channels'"),
        ({"skip_scale": "all"}, "skip_scale='all', expected 'shared', 'stage' or 'none'"),
        ({"spatial_dims": 4}, "spatial_dims=4, expected 2 or 3"),
        ({"strides": ((2, 2),) * 4}, "4 strides for 6 levels, expected 5"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        UltraLBMUNet(**{"input_channels": 3, "num_classes": 1, **arguments})


def test_levels_that_no_block_splits_need_no_multiple_of_four():
    UltraLBMUNet(3, 1, channels=(8, 16, 2, 2, 48, 66), mixers=("conv", "conv", "conv"))
