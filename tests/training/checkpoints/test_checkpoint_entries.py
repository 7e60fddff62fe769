import re

import numpy as np
import pytest
import torch
from torch import nn

from nnunet_mamba.training.checkpoints.entries import bare_names_for, problem_of_entries, problem_of_logging


@pytest.mark.parametrize(
    ("entry", "value", "told"),
    [
        ("network_weights", {1: torch.ones(2)}, "no tensors by name"),
        ("network_weights", {"a": torch.zeros(1).expand(10**12)}, r"not one of plain numbers \(in network_weights.a\)"),
        ("network_weights", {"a": torch.eye(3).to_sparse()}, "not one of plain numbers"),
        ("network_weights", {"a": torch.ones(2, device="meta")}, "not one of plain numbers"),
        ("network_weights", {"a": torch.ones(2).to(torch.float8_e4m3fn)}, "not one of plain numbers"),
        ("network_weights", {"a": torch.tensor(float("nan"))}, r"not finite \(in network_weights.a\)"),
        ("optimizer_state", {"state": {}}, "without param_groups"),
        ("optimizer_state", {"state": {}, "param_groups": [5]}, "no list of dictionaries"),
        ("optimizer_state", {"state": {0: 5}, "param_groups": [{}]}, "no dictionary of dictionaries"),
        ("optimizer_state", {"state": {}, "param_groups": [{"lr": float("nan")}]}, "lr nan, expected a finite number"),
        ("optimizer_state", {"state": {}, "param_groups": [{"lr": "x"}]}, "lr 'x', expected a finite number"),
        ("grad_scaler_state", 1.5, "grad_scaler_state 1.5"),
        ("_best_ema", "x", "_best_ema 'x', expected a number"),
        ("inference_allowed_mirroring_axes", "01", "expected numbers of axes"),
        ("current_epoch", True, "current_epoch True"),
    ],
)
def test_a_value_that_nobody_can_train_with_is_told(entry, value, told):
    problem = problem_of_entries({entry: value})
    assert problem is not None
    assert re.search(told, problem)


@pytest.mark.parametrize("best", [None, 0.5, np.float32(0.5), np.float64("nan")])
def test_what_nnunet_writes_is_taken(best):
    optimiser = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": np.float64(0.1), "params": [0]}]}
    entries = {"_best_ema": best, "grad_scaler_state": None, "inference_allowed_mirroring_axes": (0, 1)}
    stored = {**entries, "optimizer_state": optimiser, "network_weights": {"a": torch.ones(2)}, "current_epoch": 3}
    assert problem_of_entries(stored) is None


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
