import pytest
import torch
from torch import nn

from nnunet_mamba.training.checkpoints.continued_entries import bare_names_for, problem_of_logging


@pytest.mark.parametrize(
    ("logging", "told"),
    [
        ({}, "has a logging without a list of val_losses"),
        ({"val_losses": "abc"}, "has a logging without a list of val_losses"),
        ({"val_losses": ["a", "b"]}, "has a logging with a text among val_losses, expected numbers"),
        ({"val_losses": [0.5, 0.25], "more": [1]}, None),
    ],
)
def test_what_was_logged_must_be_lists_of_numbers(logging, told):
    assert problem_of_logging(logging, needs=["val_losses"]) == told


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_weights_that_were_saved_with_wrappers_load(prefix):
    network, other = nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))
    with bare_names_for(network):
        network.load_state_dict({f"{prefix}{name}": value for name, value in other.state_dict().items()})
    assert torch.equal(network[0].weight, other[0].weight)
    with pytest.raises(RuntimeError, match="Missing key"):
        network.load_state_dict({f"module.{name}": value for name, value in other.state_dict().items()})
