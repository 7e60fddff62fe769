import pytest
import torch
from torch import nn
from torch.nn.parallel import DataParallel

from nnunet_mamba.networks.wrappers import bare_network, without_wrappers


def compiled(network):
    return torch.compile(network)


# Without GPUs, it wraps as DistributedDataParallel does.
@pytest.mark.parametrize(
    "wrappers", [(), (compiled,), (DataParallel,), (compiled, DataParallel), (DataParallel, compiled)]
)
def test_networks_and_names_lose_wrappers_in_any_order(wrappers):
    network = wrapped = nn.Conv2d(3, 2, 1)
    for wrap in wrappers:
        wrapped = wrap(wrapped)
    assert bare_network(wrapped) is network
    assert without_wrappers(wrapped.state_dict()).keys() == network.state_dict().keys()


def test_a_part_of_a_network_that_is_called_module_is_no_wrapper():
    network = nn.Sequential()
    network.module = nn.Conv2d(3, 2, 1)
    assert bare_network(network) is network


def test_a_name_that_only_some_weights_begin_with_is_none_of_a_wrapper():
    weights = {"module.weight": torch.zeros(1), "bias": torch.zeros(1)}
    assert without_wrappers(weights) == weights
