"""Every network of the catalogue, for images and for volumes, keeps the contract of ``SegmentationNetwork``."""

import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
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
from nnunet_mamba.presets import PRESETS, Preset

CHANNELS, CLASSES = 2, 3
# No axis is a multiple of what a network pads it to, and all deepest maps have several positions.
ODD = {2: (33, 46), 3: (5, 17, 22)}
CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}

# Arguments that make a network small where its size does not matter; a class that is not here has the published size.
_COMPACT = {
    2: {"channels": (8, 8, 16, 16)},
    3: {"channels": (8, 8, 16, 16), "strides": ((1, 2, 2), (2, 2, 2), (2, 2, 2))},
}
_STAGES = {
    2: {"features_per_stage": (4, 8, 16), "kernel_sizes": 3, "strides": (1, 2, 2)},
    3: {
        "features_per_stage": (4, 8, 16),
        "kernel_sizes": ((1, 3, 3), (3, 3, 3), (3, 3, 3)),
        "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    },
}
SMALL = {
    "UltraLightVMUNet": _COMPACT,
    "UltraLBMUNet": _COMPACT,
    "VMUNet": {2: {"dims": (8, 16, 32), "depths": (1, 1, 1), "depths_decoder": (1, 1, 1)}},
    **dict.fromkeys(("UMambaBot", "UMambaEnc", "UMambaNoMamba", "UMambaBotTumour"), _STAGES),
}


@dataclass(frozen=True)
class Case:
    """A network for images or for volumes."""

    preset: Preset
    dims: int

    @property
    def class_name(self) -> str:
        return self.preset.network.partition(":")[2]

    @property
    def has_one_size(self) -> bool:
        """Whether its weights belong to one size of images."""
        return "input_size" in self.preset.planned(self.dims)

    @property
    def odd(self) -> tuple[int, ...]:
        return ODD[self.dims]

    def build(
        self, size: tuple[int, ...] | None = None, *, num_classes: int = CLASSES, **options
    ) -> SegmentationNetwork:
        """Return a small one with the same weights every time."""
        torch.manual_seed(0)
        tied = {"input_size": size or self.odd} if self.has_one_size else {}
        small = SMALL.get(self.class_name, {}).get(self.dims, {})
        return create_network(
            self.preset.name, CHANNELS, num_classes, spatial_dims=self.dims, **small, **tied, **options
        ).eval()

    def images(self, *size: int, batch: int = 2) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(batch, CHANNELS, *(size or self.odd), generator=generator)


CASES = {f"{name}-{dims}d": Case(preset, dims) for name, preset in PRESETS.items() for dims in preset.spatial_dims}
# What takes long runs in quick tests for one network of each class.
QUICK = {case.class_name: name for name, case in reversed(CASES.items()) if case.dims == 2 and "no_mamba" not in name}


def slow_except(*quick: str) -> list:
    """Return all cases, marked as slow but for those named, and where "2d" is named, one of each class for images."""
    kept = {*quick, *(QUICK.values() if "2d" in quick else ())}
    return [name if name in kept else pytest.param(name, marks=pytest.mark.slow) for name in CASES]


@pytest.fixture(params=CASES)
def case(request) -> Case:
    return CASES[request.param]


@pytest.fixture
def network(case) -> SegmentationNetwork:
    return case.build()


def listed(result):
    return result if isinstance(result, list) else [result]


def assert_near(results, expected, tolerance):
    """Compare logits with a tolerance that is relative to the largest of them."""
    for ours, theirs in zip(listed(results), listed(expected), strict=True):
        assert ours.shape == theirs.shape
        assert float((ours - theirs).abs().max()) <= tolerance * float(theirs.abs().max())


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
    for head in network.heads:
        assert head.weight.shape[0] == CLASSES


def test_odd_images_are_padded_by_their_last_positions_and_the_logits_cropped(case):
    network = case.build(deep_supervision=True)
    images = case.images()
    missing = [-size % of_axis for size, of_axis in zip(case.odd, network.size_multiple, strict=True)]
    assert all(missing)
    padded = functional.pad(images, [n for after in reversed(missing) for n in (0, after)], mode="replicate")
    larger = case.build(tuple(padded.shape[2:]), deep_supervision=True)
    larger.load_state_dict(network.state_dict())
    seen = []
    segment = network.segment
    network.segment = lambda x: seen.append(x) or segment(x)

    with torch.no_grad():
        logits, expected = network(images), larger(padded)

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
    network = case.build(deep_supervision=True).train()
    for module in network.modules():
        if isinstance(module, PyramidPooling):
            for layer in module.conv_layers:
                # So few averages that ReLU may stop them all.
                nn.init.constant_(layer.bias, 10.0)
    torch.manual_seed(0)
    outputs = network(case.images())
    assert [x.shape for x in outputs] == shapes(case.odd, network)
    assert len(outputs) == len(network.heads) > 1

    for index, output in enumerate(outputs):
        (weight, *others) = (network.heads[place].weight for place in (index, *set(range(len(outputs))) - {index}))
        gradients = torch.autograd.grad(output.square().mean(), [weight, *others], retain_graph=True, allow_unused=True)
        assert gradients[0].any()
        assert all(gradient is None for gradient in gradients[1:])
    sum(output.square().mean() for output in outputs).backward()

    without = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any() or not parameter.grad.isfinite().all()
    ]
    assert without == []


def test_deep_supervision_adds_heads_and_changes_nothing_else(case):
    plain, deep = case.build(), case.build(deep_supervision=True)
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
        # As nnU-Net does it.
        deep.decoder.deep_supervision = True
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
    network, images = case.build(deep_supervision=True), case.images()
    dtypes = set()
    for module in network.modules():
        if isinstance(module, (Mamba, MambaLayer, SS2D)):
            module.register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
        if isinstance(module, MambaLayer):
            module.norm.register_forward_hook(lambda module, inputs, output: dtypes.add(inputs[0].dtype))

    with torch.no_grad():
        expected = network(images)
    dtypes.clear()
    with torch.autocast("cpu", dtype=dtype):
        result = network(images)

    assert dtypes <= {torch.float32}
    # A dozen layers lose a few bits; the more Mamba layers without a residual around them, the more.
    for ours, theirs in zip(result, expected, strict=True):
        error = (ours.detach() - theirs).square().mean().sqrt() / theirs.std()
        assert float(error) < 64 * torch.finfo(dtype).eps
    torch.stack([output.float().mean() for output in result]).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


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


def test_published_size_is_built_without_memory_and_counted(case):
    size = case.preset.size(case.dims)
    with torch.device("meta"):
        network = create_network(case.preset.name, *size.reference_input, spatial_dims=case.dims)
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"meta"}

    counted = measure_complexity(network, (size.reference_input[0], *size.image_size))

    assert counted.n_parameters == size.n_parameters
    assert f"{counted.multiply_adds / 1e9:.5g}" == f"{size.giga_macs:.5g}"
    assert f"{counted.flops / 1e9:.5g}" == f"{size.giga_flops:.5g}"


@pytest.fixture
def _fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("_fresh_compiler")
@pytest.mark.parametrize("name", slow_except("2d"))
def test_compiles_into_one_graph_with_the_eager_logits_at_every_size(name):
    case = CASES[name]
    network = case.build(deep_supervision=True)
    # No multiples either, or torch would compile a second graph, for images that are not padded.
    sizes = [case.odd] if case.has_one_size else [(7, 50, 30), (9, 17, 65)]
    first, *others = case.images(), *(case.images(*size[-case.dims :], batch=3) for size in sizes)
    for axis in (0,) if case.has_one_size else (0, *range(2, 2 + case.dims)):
        torch._dynamo.mark_dynamic(first, axis)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)

    with torch.inference_mode():
        for images in (first, *others):
            assert_near(compiled(images), network(images), 1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("_fresh_compiler")
def test_inductor_gives_the_eager_logits_at_every_size():
    case = CASES["ultralight_vm_unet-2d"]
    network, first = case.build(), case.images()
    for axis in (0, 2, 3):
        torch._dynamo.mark_dynamic(first, axis)
    compiled = torch.compile(network, backend="inductor")

    with torch.inference_mode():
        for images in (first, case.images(50, 30, batch=3), case.images(71, 19)):
            torch.testing.assert_close(compiled(images), network(images), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", slow_except("2d", "u_mamba_enc-3d"))
def test_exports(name):
    case = CASES[name]
    network, images = case.build(), case.images()

    with torch.no_grad():
        exported = torch.export.export(network, (torch.zeros_like(images),)).module()
        assert_near(exported(images), network(images), 1e-4)


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
