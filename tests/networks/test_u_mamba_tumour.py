import re

import pytest
import torch

from nnunet_mamba.blocks.mamba_layer import MambaLayer
from nnunet_mamba.blocks.pyramid_pooling import PyramidPooling
from nnunet_mamba.networks.u_mamba_tumour import UMambaBotTumour
from nnunet_mamba.networks.upstream_weights import published_name

SMALL = {"features_per_stage": (4, 4, 8)}
SMALL_VOLUME = {"features_per_stage": (4, 4, 8), "spatial_dims": 3, "strides": (1, (1, 2, 2), 2)}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.mark.parametrize(("options", "n_parameters"), [({}, 9_813_700), ({"pyramid_pooling": True}, 10_076_356)])
def test_has_the_published_number_of_parameters(options, n_parameters):
    with torch.device("meta"):
        assert count(UMambaBotTumour(3, 1, **options)) == n_parameters


def test_each_part_has_its_published_number_of_parameters():
    with torch.device("meta"):
        network = UMambaBotTumour(3, 1, pyramid_pooling=True)

    parts = {
        "encoder": 4_895_552,
        "pyramid_pooling": 262_656,
        "mamba_layer.norm": 1_024,
        "mamba_layer.mamba": 1_694_720,
        "decoder.stages": 2_525_120,
        "decoder.transpconvs": 696_800,
        "decoder.seg_layers": 484,
    }
    assert {part: count(network.get_submodule(part)) for part in parts} == parts


def test_pyramid_pooling_has_its_published_name_and_widths():
    network = UMambaBotTumour(3, 1, features_per_stage=(8, 8, 32), pyramid_pooling=True)

    names = {published_name(network, key): value.shape for key, value in network.state_dict().items()}
    widths = [names[f"ppm.conv_layers.{index}.weight"][:2] for index in range(4)]
    assert widths == [(4, 32), (8, 32), (16, 32), (4, 32)]


def test_pools_before_the_mamba_layer():
    network = UMambaBotTumour(1, 1, **SMALL, pyramid_pooling=True)
    order = []
    for module in network.modules():
        if isinstance(module, (MambaLayer, PyramidPooling)):
            module.register_forward_hook(lambda module, inputs, output: order.append(type(module)))

    with torch.no_grad():
        network(torch.randn(1, 1, 8, 8))

    assert order == [PyramidPooling, MambaLayer]


@pytest.mark.parametrize("pyramid_pooling", [False, True])
@pytest.mark.parametrize(("sizes", "image_size"), [(SMALL, (16, 24)), (SMALL_VOLUME, (4, 8, 12))], ids=["2d", "3d"])
def test_trains(sizes, image_size, pyramid_pooling):
    network = UMambaBotTumour(2, 3, **sizes, pyramid_pooling=pyramid_pooling, deep_supervision=True)

    full, half = network(torch.randn(2, 2, *image_size))
    (full.square().mean() + half.square().mean()).backward()

    assert full.shape == (2, 3, *image_size)
    assert [name for name, parameter in network.named_parameters() if not parameter.grad.any()] == []


@pytest.mark.parametrize("pyramid_pooling", [False, True])
@pytest.mark.parametrize(
    ("sizes", "image_size"), [(SMALL, (5, 1)), (SMALL, (33, 46)), (SMALL_VOLUME, (3, 9, 10))], ids=str
)
def test_any_size_gives_finite_logits_of_that_size(sizes, image_size, pyramid_pooling):
    network = UMambaBotTumour(1, 2, **sizes, pyramid_pooling=pyramid_pooling, deep_supervision=True).eval()

    with torch.no_grad():
        full, half = network(torch.randn(2, 1, *image_size))

    *depth, height, width = image_size
    assert full.shape == (2, 2, *image_size)
    assert half.shape == (2, 2, *depth, -(-height // 2), -(-width // 2))
    assert full.isfinite().all()


def test_deep_supervision_is_switched_without_changing_the_weights():
    network, image = UMambaBotTumour(1, 2, **SMALL).eval(), torch.randn(1, 1, 16, 24)
    keys = list(network.state_dict())

    with torch.no_grad():
        plain = network(image)
        network.decoder.deep_supervision = True
        levels = network(image)

    assert [tuple(level.shape[2:]) for level in levels] == [(16, 24), (8, 12)]
    assert torch.equal(levels[0], plain)
    assert list(network.state_dict()) == keys


def test_state_dict_round_trip_restores_the_logits():
    network, other = (UMambaBotTumour(1, 2, **SMALL, pyramid_pooling=True).eval() for _ in range(2))
    other.load_state_dict(network.state_dict())
    image = torch.randn(1, 1, 16, 12)

    with torch.no_grad():
        assert torch.equal(other(image), network(image))


def test_channels_last_images_give_the_same_logits():
    network = UMambaBotTumour(3, 2, **SMALL, pyramid_pooling=True).eval().double()
    images = torch.randn(2, 3, 16, 12, dtype=torch.float64)

    with torch.no_grad():
        expected = network(images)
        torch.testing.assert_close(network(images.to(memory_format=torch.channels_last)), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("sizes", [SMALL, SMALL_VOLUME], ids=["2d", "3d"])
def test_mamba_stays_in_float32_under_autocast(sizes, dtype):
    network = UMambaBotTumour(1, 2, **sizes, pyramid_pooling=True).eval()
    images = torch.randn(2, 1, *(4, 16, 24)[-network.spatial_dims :])
    dtypes = []
    norm = network.mamba_layer.norm
    norm.register_forward_hook(lambda module, inputs, output: dtypes.extend((inputs[0].dtype, output.dtype)))
    network.mamba_layer.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))

    with torch.no_grad():
        expected = network(images)
        with torch.autocast("cpu", dtype=dtype):
            result = network(images)

    assert dtypes == [torch.float32] * 6
    # A dozen layers lose a few bits.
    error = (result - expected).square().mean().sqrt() / expected.std()
    assert float(error) < 32 * torch.finfo(dtype).eps


@pytest.mark.parametrize("sizes", [SMALL, SMALL_VOLUME], ids=["2d", "3d"])
def test_compiles_and_exports_as_one_graph(sizes):
    network = UMambaBotTumour(1, 2, **sizes, pyramid_pooling=True).eval()
    images = torch.randn(2, 1, *(3, 15, 22)[-network.spatial_dims :])

    with torch.no_grad():
        expected = network(images)
        compiled = torch.compile(network, backend="eager", fullgraph=True)(images)
        exported = torch.export.export(network, (images,)).module()(images)

    torch.testing.assert_close(compiled, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(exported, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "UMambaBotTumour: num_classes=0, expected at least 1"),
        ({"kernel_sizes": [3, 3]}, "UMambaBotTumour: kernel_sizes has 2 entries, features_per_stage asks for 3"),
        ({"n_conv_per_stage_decoder": [1]}, "n_conv_per_stage_decoder has 1 entries, features_per_stage asks for 2"),
        ({"features_per_stage": (4, 4, 12), "pyramid_pooling": True}, "12 channels, expected a multiple of 8"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        UMambaBotTumour(**{"input_channels": 1, "num_classes": 2, **SMALL, **arguments})


def test_takes_every_number_of_blocks_as_it_is():
    network = UMambaBotTumour(1, 2, **SMALL, n_conv_per_stage=[1, 2, 3], n_conv_per_stage_decoder=[2, 3])

    assert [len(stage.blocks) for stage in network.encoder.stages] == [1, 2, 3]
    assert [len(stage.blocks) for stage in network.decoder.stages] == [2, 3]


@pytest.mark.parametrize("shape", [(1, 3, 4, 32, 32), (1, 1, 32, 32), (1, 3, 0, 32)])
def test_refuses_input_that_is_not_a_batch_of_its_images(shape):
    with pytest.raises(ValueError, match=rf"UMambaBotTumour: input of shape {re.escape(str(shape))}, expected \(b, 3,"):
        UMambaBotTumour(3, 1, **SMALL)(torch.zeros(shape))


def test_smallest_size_is_the_one_that_the_error_names():
    network = UMambaBotTumour(1, 2, **SMALL).eval()

    with pytest.raises(ValueError, match=r"a single position at the deepest stage.* size that works is \(5, 3\)"):
        network(torch.zeros(1, 1, 4, 3))
    assert network(torch.zeros(1, 1, 5, 3)).shape == (1, 2, 5, 3)
