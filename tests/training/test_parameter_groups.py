import copy

import pytest
import torch
from torch import nn

from nnunet_mamba import create_network
from nnunet_mamba.training.parameter_groups import parameter_groups


def test_only_matrices_and_kernels_decay():
    network = create_network("ultralight_vm_unet", input_channels=3, num_classes=1)
    decayed, kept = parameter_groups(network, 0.01)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.01, 0.0)
    kept_ids = {id(parameter) for parameter in kept["params"]}
    kept_names = {name for name, parameter in network.named_parameters() if id(parameter) in kept_ids}
    for name, parameter in network.named_parameters():
        last = name.rsplit(".", 1)[-1]
        assert (name in kept_names) == (last in ("A_log", "D", "bias", "skip_scale") or parameter.ndim == 1), name
    assert len(decayed["params"]) + len(kept["params"]) == len(list(network.parameters()))


@pytest.mark.parametrize("name", ["ultralight_vm_unet", "vm_unet"])
def test_a_deep_copy_of_a_network_decays_alike(name):
    network = create_network(name, input_channels=3, num_classes=1)
    groups = parameter_groups(network, 0.01)
    copies = parameter_groups(copy.deepcopy(network), 0.01)
    assert [len(one["params"]) for one in copies] == [len(one["params"]) for one in groups]


def test_frozen_parameters_are_left_out():
    network = nn.Linear(2, 2)
    network.weight.requires_grad_(False)
    decayed, kept = parameter_groups(network, 0.1)
    assert decayed["params"] == []
    assert len(kept["params"]) == 1


def test_marks_survive_a_move_to_another_dtype():
    network = create_network("ultralight_vm_unet", input_channels=1, num_classes=1).to(torch.float64)
    marked = [n for n, p in network.named_parameters() if getattr(p, "_no_weight_decay", False)]
    assert {name.rsplit(".", 1)[-1] for name in marked} == {"A_log", "D"}
