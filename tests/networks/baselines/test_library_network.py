import re

import pytest
import torch
from torch import nn

from nnunet_mamba.networks.baselines.library_network import (
    LibraryNetwork,
    OneSizeNetwork,
    built_with_numbers,
    padded_size,
)
from nnunet_mamba.networks.upstream_weights import load_upstream_weights, published_name


class Layers(LibraryNetwork):
    library_head = "layers.1"


class OneSize(OneSizeNetwork):
    library_head = "layers.1"


def body():
    return nn.ModuleDict({"layers": nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 2, 1))})


@pytest.fixture
def network():
    class Body(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = body()["layers"]

        def forward(self, x):
            return self.layers(x)

    torch.manual_seed(0)
    whole = Body()
    weights = {name: value.clone() for name, value in whole.state_dict().items()}
    expected = whole(torch.ones(1, 1, 4, 6))
    return Layers(1, whole, size_multiple=(2, 2)), weights, expected


def test_the_head_lies_where_nnunet_looks_for_it_and_the_logits_are_the_librarys(network):
    ours, _, expected = network

    assert torch.equal(ours(torch.ones(1, 1, 4, 6)), expected)
    assert [head.out_channels for head in ours.heads] == [2]
    assert {name for name in ours.state_dict() if ".seg_layers." in name} == {
        "decoder.seg_layers.0.weight",
        "decoder.seg_layers.0.bias",
    }


def test_weights_that_the_library_saved_load_under_its_names(network):
    ours, weights, _ = network
    other = {name: value + 1 for name, value in weights.items()}

    report = load_upstream_weights(ours, other)

    assert (set(report.loaded), report.missing, report.unused) == (set(weights), (), ())
    assert all(torch.equal(value, other[published_name(ours, name)]) for name, value in ours.state_dict().items())


def test_what_reads_numbers_where_it_is_built_is_built_without_memory_all_the_same():
    def make():
        return nn.Linear(int(torch.full((), 3).item()), 2)

    with torch.device("meta"):
        without = built_with_numbers(make)
    assert without.weight.is_meta
    assert without.weight.shape == (2, 3)
    assert not built_with_numbers(make).weight.is_meta


def test_the_device_is_found_where_torch_does_not_tell_it(monkeypatch):
    """torch 2.6 answers with the global default, whatever block the code is in."""
    monkeypatch.setattr(torch, "get_default_device", lambda: torch.device("cpu"))
    with torch.device("meta"):
        assert built_with_numbers(lambda: nn.Linear(int(torch.full((), 3).item()), 2)).weight.is_meta


def test_a_network_of_one_size_refuses_others():
    network = OneSize(1, body(), input_size=(5, 6), multiple=4)
    assert network.size_multiple == (4, 4)
    told = "OneSize: images of size (6, 5), expected input_size=(5, 6), which the weights are tied to"
    with pytest.raises(ValueError, match=re.escape(told)):
        network(torch.zeros(1, 1, 6, 5))


@pytest.mark.parametrize("size", [None, 64, "ab", (64,), (64, 0), (64, 1.5), (8, 64, 64)])
def test_what_is_no_size_of_images_is_refused(size):
    assert padded_size("N", [33, 16], multiple=16, spatial_dims=2) == (48, 16)
    with pytest.raises(ValueError, match=re.escape(f"N: input_size={size!r}, expected 2 numbers of at least 1")):
        padded_size("N", size, multiple=16, spatial_dims=2)
