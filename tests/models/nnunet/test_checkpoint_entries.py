import re

import numpy as np
import pytest
import torch

from nnunet_mamba.models.nnunet.checkpoint_entries import problem_of_entries


@pytest.mark.parametrize(
    ("entry", "value", "told"),
    [
        ("network_weights", {1: torch.ones(2)}, "no tensors by name"),
        ("network_weights", {"a": torch.zeros(1).expand(10**12)}, r"not one of plain numbers \(in network_weights.a\)"),
        ("network_weights", {"a": torch.eye(3).to_sparse()}, "not one of plain numbers"),
        ("network_weights", {"a": torch.ones(2, device="meta")}, "not one of plain numbers"),
        ("network_weights", {"a": torch.ones(2).to(torch.float8_e4m3fn)}, "not one of plain numbers"),
        ("network_weights", {"a": torch.ones(2, dtype=torch.complex64)}, "not one of plain numbers"),
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
