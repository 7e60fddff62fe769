import re

import pytest
import torch

from nnunet_mamba.blocks.local_global_perception import GLOBAL_LOCAL, LOCAL, LocalGlobalPerception
from nnunet_mamba.networks.upstream_weights import published_name


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture
def image():
    return torch.randn(2, 8, 3, 5)


BRANCHES = [
    GLOBAL_LOCAL,
    LOCAL,
    ("conv", "mamba", "identity", "mamba"),
    ("attention", "identity", "conv", "attention"),
    ("mamba", "attention", "conv", "conv"),
    ("identity",) * 4,
]


@pytest.mark.parametrize("branches", BRANCHES, ids=str)
@pytest.mark.parametrize("spatial", [(3, 5), (2, 3, 4)])
def test_each_quarter_of_the_channels_passes_through_its_branch(branches, spatial):
    block = LocalGlobalPerception(8, 6, branches=branches, kernel_size=5, spatial_dims=len(spatial)).eval()
    block.skip_scale.data.fill_(0.7)
    x = torch.randn(2, 8, *spatial)

    with torch.no_grad():
        result = block(x)
        tokens = block.norm(x.flatten(2).mT)
        convolutions = iter(block.convolutions)
        chunks = []
        for branch, chunk in zip(branches, tokens.chunk(4, dim=2), strict=True):
            if branch == "conv":
                mixed = next(convolutions)(chunk.mT.unflatten(2, spatial)).flatten(2).mT
            else:
                mixed = chunk if branch == "identity" else block.mixers[branch](chunk)
            chunks.append(mixed + 0.7 * chunk)
        expected = block.proj(block.norm(torch.cat(chunks, dim=2))).mT.unflatten(2, spatial)

    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("branches", BRANCHES, ids=str)
@pytest.mark.parametrize("directions", ["both", "forward"])
def test_every_parameter_has_a_gradient(image, branches, directions):
    block = LocalGlobalPerception(8, 6, branches=branches, directions=directions, shared_mamba=False)

    block(image).square().sum().backward()

    assert [name for name, parameter in block.named_parameters() if not parameter.grad.any()] == []


def test_neighbouring_chunks_are_one_call(image):
    block = LocalGlobalPerception(8, 6)
    shapes = []
    block.mixers["mamba"].register_forward_hook(lambda _module, given, _output: shapes.append(tuple(given[0].shape)))

    block(image)

    assert shapes == [(2, 15, 4)]


@pytest.mark.parametrize(
    ("branches", "names"),
    [
        (GLOBAL_LOCAL, ["mamba", "sep_conv"]),
        (LOCAL, ["sep_conv1", "sep_conv2", "sep_conv3"]),
        (("conv", "mamba", "conv", "identity"), ["mamba", "sep_conv1", "sep_conv2"]),
    ],
    ids=str,
)
def test_published_names_number_the_convolutions_if_there_are_several(branches, names):
    block = LocalGlobalPerception(8, 6, branches=branches)

    published = {published_name(block, key).split(".")[0] for key in block.state_dict()}

    assert published == {"norm", "proj", "skip_scale", *names}


@pytest.mark.parametrize("branches", BRANCHES[:4], ids=str)
def test_autocast_stays_near_full_precision(image, branches):
    block = LocalGlobalPerception(8, 6, branches=branches).eval()

    with torch.no_grad():
        expected = block(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = block(image)

    # bfloat16 keeps 8 bits, and a few layers are computed in it.
    torch.testing.assert_close(result.float(), expected, rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 6}, "6 channels cannot be split into 4 equal chunks"),
        ({"in_channels": 0}, "in_channels=0, expected a positive integer"),
        ({"branches": ("mamba", "conv")}, "branches=('mamba', 'conv') has 2 branches, expected 4"),
        ({"branches": ("mamba", "mamba", "cnn", "conv")}, "branches[2]='cnn', expected one of 'mamba', 'attention', "),
        ({"kernel_size": 2}, "kernel_size=2, expected a positive odd number"),
        ({"directions": "none"}, "LocalGlobalPerception: directions='none', expected 'both' or 'forward'"),
        ({"branches": LOCAL, "flip": "rows"}, "LocalGlobalPerception: flip='rows', expected 'sequence' or 'channels'"),
    ],
    ids=str,
)
def test_refuses_arguments_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        LocalGlobalPerception(**{"in_channels": 8, "out_channels": 6, **options})


def _with_stored_statistics(spatial_dims=2):
    torch.manual_seed(0)
    block = LocalGlobalPerception(8, 8, branches=("conv", "conv", "identity", "identity"), spatial_dims=spatial_dims)
    for module in block.modules():
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    return block.double().eval()


def _gradient(loss, x):
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf), leaf)[0]


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("is_training", [False, True])
def test_gradients_of_a_single_image_equal_finite_differences(spatial_dims, is_training):
    block = _with_stored_statistics(spatial_dims).train(is_training)

    def loss(x):
        return block(x).square().sum()

    x, step = torch.randn(2, 2, 8, *(4,) * spatial_dims, dtype=torch.float64)[:, :1]
    with torch.no_grad():
        expected = (loss(x + 1e-5 * step) - loss(x - 1e-5 * step)) / 2e-5
    torch.testing.assert_close((_gradient(loss, x) * step).sum(), expected, rtol=1e-5, atol=1e-5)
    if is_training:
        return  # running statistics cannot be updated under vmap
    mapped = torch.func.vmap(torch.func.grad(loss))(torch.stack([x, step]))
    torch.testing.assert_close(mapped, torch.stack([_gradient(loss, x), _gradient(loss, step)]))
