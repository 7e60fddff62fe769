"""Every network of the catalogue, for images and for volumes, keeps the contract of ``SegmentationNetwork``."""

import re

import numpy as np
import pytest
import torch
from contract_cases import CASES, CHANNELS, CHANNELS_LAST, CLASSES, Case, all_cases, assert_near, listed
from torch import nn
from torch.nn import functional

from nnunet_mamba import create_network
from nnunet_mamba.blocks.mamba import Mamba
from nnunet_mamba.blocks.mamba_layer import MambaLayer
from nnunet_mamba.blocks.pyramid_pooling import PyramidPooling
from nnunet_mamba.blocks.ss2d import SS2D
from nnunet_mamba.networks.complexity import measure_complexity
from nnunet_mamba.networks.padding import reduced_size
from nnunet_mamba.networks.segmentation_network import SegmentationNetwork
from nnunet_mamba.networks.upstream_weights import load_upstream_weights, published_name


@pytest.fixture(params=all_cases())
def case(request) -> Case:
    return CASES[request.param]


@pytest.fixture
def network(case) -> SegmentationNetwork:
    return case.build()


def accepted_size(network, images):
    """Return the images' size or, where a norm needs larger ones, the smallest that the error names."""
    try:
        network.check_images(images)
    except ValueError as error:
        found = re.search(r"a single position .* smallest size that works is \(([\d, ]+)\)", str(error))
        if found is None:
            raise
        return tuple(int(number) for number in found[1].split(","))
    return tuple(images.shape[2:])


def shapes(size, network):
    return [(2, CLASSES, *reduced_size(size, reduction)) for reduction in network.output_reductions]


def test_says_what_it_takes_and_returns(case, network):
    assert (network.input_channels, network.spatial_dims) == (CHANNELS, case.dims)
    assert all(of_axis >= 1 for of_axis in network.size_multiple)
    assert network.output_reductions == ((1,) * case.dims,) or case.preset.deep_supervision or len(network.heads) > 1
    assert case.offers_deep_supervision or not case.preset.deep_supervision
    network.check_heads()


def test_odd_images_are_padded_by_their_last_positions_and_the_logits_cropped(case):
    network = case.build_with_all_heads()
    images = case.images()
    missing = [-size % of_axis for size, of_axis in zip(case.odd, network.size_multiple, strict=True)]
    assert all(by or of_axis == 1 for by, of_axis in zip(missing, network.size_multiple, strict=True))
    padded = functional.pad(images, [n for after in reversed(missing) for n in (0, after)], mode="replicate")
    larger = case.build_with_all_heads(tuple(padded.shape[2:]))
    larger.load_state_dict(network.state_dict())
    seen = []
    segment = network.segment
    network.segment = lambda x: seen.append(x) or segment(x)

    with torch.no_grad():
        logits, expected = listed(network(images)), listed(larger(padded))

    assert torch.equal(seen[0], padded)
    for ours, theirs in zip(logits, expected, strict=True):
        assert torch.equal(ours, theirs[(..., *(slice(size) for size in ours.shape[2:]))])
    assert [x.shape for x in logits] == shapes(case.odd, network)


def test_images_that_fit_are_not_copied(case):
    size = tuple(2 * of_axis for of_axis in case.build().size_multiple)
    network, images = case.build(size), case.images(*size)
    seen = []
    segment = network.segment
    network.segment = lambda x: seen.append(x) or segment(x)

    with torch.no_grad():
        network(images)

    assert seen[0] is images


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 9, 1), (7, 20, 41)])
def test_any_size_gives_finite_logits_of_that_size(case, network, size):
    size = size[-case.dims :]
    if case.has_one_size:
        with pytest.raises(ValueError, match=re.escape(f"images of size {size}, expected input_size={case.odd}")):
            network(case.images(*size))
        return
    size = accepted_size(network, case.images(*size))
    with torch.no_grad():
        logits = network(case.images(*size))
    assert logits.shape == (2, CLASSES, *size)
    assert logits.isfinite().all()


def test_every_parameter_gets_a_finite_gradient_and_every_head_its_own_outputs(case):
    network = case.build_with_all_heads().train()
    for module in network.modules():
        if isinstance(module, PyramidPooling):
            for layer in module.conv_layers:
                # So few averages that ReLU may stop them all.
                nn.init.constant_(layer.bias, 10.0)
    torch.manual_seed(0)
    outputs = listed(network(case.images()))
    assert [x.shape for x in outputs] == shapes(case.odd, network)
    assert len(outputs) == len(network.heads)
    assert (len(outputs) > 1) == case.offers_deep_supervision

    for index, output in enumerate(outputs):
        for place, head in enumerate(network.heads):
            weights = list(head.parameters())
            gradients = torch.autograd.grad(output.square().mean(), weights, retain_graph=True, allow_unused=True)
            assert weights
            assert all((gradient is not None) == (place == index) for gradient in gradients)
    sum(output.square().mean() for output in outputs).backward()
    without = without_gradient(network)
    if without:
        # What scales the operand of a norm has a gradient so small that float32 may round it to zero.
        network.double().zero_grad()
        sum(output.square().mean() for output in listed(network(case.images().double()))).backward()
        without = [name for name in without if name in without_gradient(network)]
    assert without == []


def without_gradient(network):
    return [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any() or not parameter.grad.isfinite().all()
    ]


def test_deep_supervision_adds_heads_and_changes_nothing_else(case):
    plain = case.build()
    if not case.offers_deep_supervision:
        plain.deep_supervision = False
        with pytest.raises(ValueError, match=f"{case.class_name}: deep_supervision=True, but .* a single head"):
            plain.deep_supervision = True
        return
    deep = case.build(deep_supervision=True)
    added = deep.state_dict().keys() - plain.state_dict().keys()
    assert plain.state_dict().keys() <= deep.state_dict().keys()
    assert all(".seg_layers." in key for key in added)
    deep.load_state_dict(plain.state_dict(), strict=False)
    keys = list(deep.state_dict())
    assert (plain.deep_supervision, deep.deep_supervision) == (False, True)

    with torch.no_grad():
        alone, outputs = plain(case.images()), deep(case.images())
        deep.deep_supervision = False
        switched_off = deep(case.images())
        deep.deep_supervision = True
        switched_on = deep(case.images())

    assert torch.equal(outputs[0], alone)
    assert torch.equal(switched_off, alone)
    assert all(torch.equal(one, other) for one, other in zip(switched_on, outputs, strict=True))
    assert list(deep.state_dict()) == keys


def test_classes_change_nothing_but_what_nnunet_leaves_out_of_pretrained_weights(case):
    one, other = (case.build(num_classes=classes).state_dict() for classes in (1, 2))
    assert one.keys() == other.keys()
    changed = [key for key in one if one[key].shape != other[key].shape]
    assert changed
    assert all(".seg_layers." in key for key in changed)


def test_images_in_channels_last_layout_give_the_same_logits(case, network):
    images = case.images()

    with torch.no_grad():
        assert_near(network(images.to(memory_format=CHANNELS_LAST[case.dims])), network(images), 1e-4)


def test_cases_of_a_batch_do_not_see_each_other(case, network):
    images = case.images(batch=3)

    with torch.no_grad():
        assert_near(network(images[1:2]), network(images)[1:2], 1e-4)


def test_not_a_number_stays_in_its_case(case, network):
    images = case.images()
    images[(1, 0, *(3,) * case.dims)] = torch.nan

    with torch.no_grad():
        logits = network(images)

    assert logits[0].isfinite().all()
    assert logits[1].isnan().any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_stays_near_full_precision_and_state_spaces_in_float32(case, dtype):
    network, images = case.build_with_all_heads(), case.images()
    dtypes = set()
    for module in network.modules():
        if isinstance(module, (Mamba, MambaLayer, SS2D)):
            module.register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
        if isinstance(module, MambaLayer):
            module.norm.register_forward_hook(lambda module, inputs, output: dtypes.add(inputs[0].dtype))

    with torch.no_grad():
        expected = listed(network(images))
    dtypes.clear()
    with torch.autocast("cpu", dtype=dtype):
        result = listed(network(images))

    assert dtypes <= {torch.float32}
    # A dozen layers lose a few bits; the more Mamba layers without a residual around them, the more.
    for ours, theirs in zip(result, expected, strict=True):
        error = (ours.detach() - theirs).square().mean().sqrt() / theirs.std()
        assert float(error) < 64 * torch.finfo(dtype).eps
    torch.stack([output.float().mean() for output in result]).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_of_weights_and_images_stays_near_full_precision(case, dtype):
    network, images = case.build_with_all_heads(), case.images()

    with torch.no_grad():
        expected = listed(network(images))
        network, images = network.to(dtype), images.to(dtype)
        if case.class_name == "UMambaBotTumour" and case.dims == 3:
            with pytest.raises(
                NotImplementedError, match=f"^{case.class_name}: volumes are {dtype} on a CPU, .*autocast"
            ):
                network(images)
            return
        result = listed(network(images))

    # As under autocast.
    for ours, theirs in zip(result, expected, strict=True):
        assert ours.dtype == dtype
        error = (ours - theirs).square().mean().sqrt() / theirs.std()
        assert float(error) < 64 * torch.finfo(dtype).eps


def test_says_whether_it_scans(network):
    assert network.uses_scan() == any("A_log" in name for name in network.state_dict())


def test_state_dict_round_trip_restores_the_logits(case, network):
    other = case.build()
    for parameter in other.parameters():
        nn.init.ones_(parameter)
    other.load_state_dict(network.state_dict())

    with torch.no_grad():
        assert torch.equal(other(case.images()), network(case.images()))


def test_weights_of_published_names_load(case, network):
    published = {
        f"module.{network.published_prefix}{published_name(network, key)}": torch.rand(value.shape).to(value.dtype)
        for key, value in network.state_dict().items()
        # dynamic-network-architectures registers layers twice.
        if "all_modules" not in key and "decoder.encoder." not in key
    }

    report = load_upstream_weights(network, published)

    assert (report.missing, report.unused, report.mismatched) == ((), (), ())
    assert any(re.search(case.preset.weights_known_by, name) for name in published)


def test_published_size_is_built_without_memory_and_counted(case):
    size = case.preset.size(case.dims)
    with torch.device("meta"):
        network = create_network(case.preset.name, *size.reference_input, spatial_dims=case.dims)
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"meta"}

    counted = measure_complexity(network, (size.reference_input[0], *size.image_size))

    assert counted.n_parameters == size.n_parameters
    assert f"{counted.multiply_adds / 1e9:.5g}" == f"{size.giga_macs:.5g}"
    assert f"{counted.flops / 1e9:.5g}" == f"{size.giga_flops:.5g}"


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda dims: torch.ones(0, CHANNELS, *(32,) * dims), ValueError, "with at least one image; it is a batch of"),
        (lambda dims: torch.ones(1, CHANNELS, 0, *(32,) * (dims - 1)), ValueError, "the images have no pixels"),
        (lambda dims: torch.ones(9), ValueError, r"input of shape \(9,\), expected \(b, 2, "),
        (lambda dims: torch.ones(1, CHANNELS, *(32,) * (dims - 1)), ValueError, r"expected \(b, 2, "),
        (lambda dims: torch.ones(1, CHANNELS, *(8,) * (dims + 1)), ValueError, r"expected \(b, 2, "),
        (lambda dims: torch.ones(1, 5, *(32,) * dims), ValueError, "images with 2 channels"),
        (lambda dims: torch.ones(1, CHANNELS, *(32,) * dims).byte(), TypeError, r"torch\.uint8, .* use images\.float"),
        (lambda dims: torch.ones(1, CHANNELS, *(32,) * dims).cfloat(), TypeError, r"images are torch\.complex64"),
        (lambda dims: np.ones((1, CHANNELS, *(32,) * dims)), TypeError, "input is a ndarray, expected a tensor"),
        (lambda dims: None, TypeError, "input is a NoneType, expected a tensor"),
    ],
    ids=[
        "no image",
        "no pixels",
        "one axis",
        "axis less",
        "axis more",
        "channels",
        "bytes",
        "complex",
        "numpy",
        "None",
    ],
)
def test_says_what_is_wrong_with_its_input(case, network, make, error, text):
    with pytest.raises(error, match=f"^{case.class_name}: .*{text}"):
        network(make(case.dims))
