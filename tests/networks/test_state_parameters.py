"""The parameters of a state space are known by name and by mark, in copies too."""

import copy

import pytest
from torch import nn

from nnunet_mamba.blocks.mamba import Mamba
from nnunet_mamba.blocks.ss2d import SS2D
from nnunet_mamba.networks.state_parameters import is_of_state


@pytest.mark.parametrize(("block", "names"), [(Mamba(16), {"A_log", "D"}), (SS2D(16), {"A_logs", "Ds"})])
@pytest.mark.parametrize("copied", [False, True])
def test_decay_rates_and_skip_weights_are(block, names, copied):
    network = nn.ModuleDict({"inner": copy.deepcopy(block) if copied else block})
    found = {name for name, parameter in network.named_parameters() if is_of_state(name, parameter)}
    assert found == {f"inner.{name}" for name in names}


def test_marked_parameters_are():
    layer = nn.Linear(2, 2)
    layer.weight._no_weight_decay = True
    assert is_of_state("weight", layer.weight)
    assert not is_of_state("bias", layer.bias)
