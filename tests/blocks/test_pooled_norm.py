import pytest
import torch
from torch import nn
from torch.nn import functional

from nnunet_mamba.blocks import pooled_norm
from nnunet_mamba.blocks.pooled_norm import normalise_and_pool


@pytest.fixture
def fused_calls(monkeypatch):
    """The windows that the operator is called with, where maps of every size are large."""
    monkeypatch.setattr(pooled_norm, "_FEWEST_NUMBERS", 0)
    calls, operator = [], pooled_norm.pooled_group_norm

    def noting(*given, window, **options):
        calls.append(window)
        return operator(*given, window=window, **options)

    monkeypatch.setattr(pooled_norm, "pooled_group_norm", noting)
    return calls


@pytest.fixture
def norm():
    torch.manual_seed(0)
    layer = nn.GroupNorm(4, 8)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    return layer


def _map(*spatial):
    memory_format = torch.channels_last if len(spatial) == 2 else torch.channels_last_3d
    return torch.randn(2, 8, *spatial).contiguous(memory_format=memory_format)


def _layers(norm, x, window):
    pool = functional.max_pool2d if len(window) == 2 else functional.max_pool3d
    return pool(norm(x), window)


@pytest.mark.parametrize("window", [(2, 2), (1, 1), (2, 1, 2), (1, 1, 1)], ids=str)
def test_is_the_norm_and_the_pooling_as_one_operator(fused_calls, norm, window):
    x = _map(*(4 + 2 * axis for axis in range(len(window)))).requires_grad_()
    y, expected = normalise_and_pool(norm, x, window), _layers(norm, x, window)
    assert fused_calls == [window]
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    leaves, dy = (x, norm.weight, norm.bias), torch.randn_like(y)
    for gradient, right in zip(
        torch.autograd.grad(y, leaves, dy), torch.autograd.grad(expected, leaves, dy), strict=True
    ):
        torch.testing.assert_close(gradient, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("window", [(2, 2), (1, 1)], ids=str)
@pytest.mark.parametrize(
    "change",
    [lambda x: x.contiguous(), lambda x: x.double(), lambda x: x.to("meta"), lambda x: x.bfloat16()],
    ids=["plain memory", "float64", "meta", "bfloat16"],
)
def test_other_maps_take_the_layers(fused_calls, norm, change, window):
    x = change(_map(4, 6))
    norm.to(x.device, x.dtype)
    y, expected = normalise_and_pool(norm, x, window), _layers(norm, x, window)
    assert not fused_calls
    assert y.is_meta or torch.equal(y, expected)


@pytest.mark.parametrize("window", [(2, 2), (1, 1)], ids=str)
def test_small_maps_take_the_layers(fused_calls, monkeypatch, norm, window):
    x = _map(4, 6)
    monkeypatch.setattr(pooled_norm, "_FEWEST_NUMBERS", x.numel() + 1)
    assert torch.equal(normalise_and_pool(norm, x, window), _layers(norm, x, window))
    assert not fused_calls
    monkeypatch.setattr(pooled_norm, "_FEWEST_NUMBERS", x.numel())
    normalise_and_pool(norm, x, window)
    assert fused_calls == [window]


class _OwnNorm(nn.GroupNorm):
    def forward(self, x):
        return super().forward(x) * 2


def _without_bias():
    norm = nn.GroupNorm(4, 8)
    norm.bias = None
    return norm


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.GroupNorm(4, 8, affine=False),
        _without_bias,
        lambda: _OwnNorm(4, 8),
        lambda: nn.InstanceNorm2d(8, affine=True),
        nn.Identity,
    ],
    ids=["no weights", "no bias", "subclass", "instance norm", "identity"],
)
def test_other_norms_are_called_as_layers(fused_calls, make):
    x, layer = _map(4, 6), make()
    assert torch.equal(normalise_and_pool(layer, x, (2, 2)), _layers(layer, x, (2, 2)))
    assert not fused_calls


def test_hooks_of_all_modules_see_the_norm(fused_calls, norm):
    seen = []
    handle = nn.modules.module.register_module_forward_hook(lambda layer, *_: seen.append(layer))
    try:
        normalise_and_pool(norm, _map(4, 6), (2, 2))
    finally:
        handle.remove()
    assert seen == [norm]
    assert not fused_calls


@pytest.mark.parametrize(
    "register", ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"]
)
def test_a_watched_norm_is_called_as_a_layer(fused_calls, norm, register):
    seen = []
    handle = getattr(norm, register)(lambda layer, *_: seen.append(layer))
    x = _map(4, 6).requires_grad_()
    normalise_and_pool(norm, x, (2, 2)).sum().backward()
    assert seen == [norm]
    assert not fused_calls
    handle.remove()
    normalise_and_pool(norm, x, (2, 2))
    assert fused_calls == [(2, 2)]


def test_every_case_may_be_mapped(fused_calls, norm):
    xs = torch.stack([_map(4, 6), _map(4, 6)])
    mapped = torch.func.vmap(lambda x: normalise_and_pool(norm, x, (2, 2)))(xs)
    torch.testing.assert_close(mapped, torch.stack([_layers(norm, x, (2, 2)) for x in xs]), rtol=1e-5, atol=1e-5)


def test_exported_and_traced_graphs_have_the_layers_of_torch(norm):
    class Stage(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = norm

        def forward(self, x):
            return normalise_and_pool(self.norm, x, (2, 2))

    x = _map(4, 6)
    exported = torch.export.export(Stage(), (x,))
    assert not [node for node in exported.graph.nodes if "nnunet_mamba" in str(node.target)]
    traced = torch.jit.trace(Stage(), x)
    assert "nnunet_mamba" not in str(traced.inlined_graph)
    for program in (exported.module(), traced):
        torch.testing.assert_close(program(x), _layers(norm, x, (2, 2)))
