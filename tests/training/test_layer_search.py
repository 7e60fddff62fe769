import pytest
import torch
from torch import nn

from nnunet_mamba.training.layer_search import find_first_non_finite


class Overflowing(nn.Module):
    def forward(self, x):
        return x * 1e30 * 1e30


class UndefinedGradient(nn.Module):
    """Finite forwards, and 0/0 backwards."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return torch.sqrt(self.scale * x * 0)


def rerun(network):
    network(torch.full((2, 3), 4.0)).sum().backward()


def test_names_the_first_layer_and_the_inputs_it_had():
    inner = nn.Sequential(nn.Identity(), Overflowing(), nn.Tanh())
    found = find_first_non_finite(nn.Sequential(nn.Linear(3, 3), inner, nn.Linear(3, 1)), rerun)

    assert (found.name, found.kind) == ("1.1", "Overflowing")
    assert (found.n_values, found.n_total) == (6, 6)
    assert 0 < found.largest_input < 10
    assert str(found).startswith(
        "The first layer with an output that is not finite is 1.1 (Overflowing): 6 of 6 values"
    )


def test_counts_only_the_values_that_are_not_finite():
    class OneValue(nn.Module):
        def forward(self, x):
            return x.masked_fill(torch.eye(2, 3, dtype=torch.bool), float("nan"))

    found = find_first_non_finite(nn.Sequential(nn.Linear(3, 3), OneValue()), rerun)
    assert (found.n_values, found.n_total) == (2, 6)


def test_names_the_first_gradient_where_all_outputs_are_finite():
    network = nn.Sequential(nn.Linear(3, 3), UndefinedGradient(), nn.Linear(3, 1))
    found = find_first_non_finite(network, rerun)

    assert (found.name, found.kind) == ("1.scale", "gradient")
    assert "The first gradient that is not finite is that of 1.scale (1 of 1 values" in str(found)


def test_finds_nothing_in_a_sound_network_and_leaves_no_trace():
    network = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    assert find_first_non_finite(network, rerun) is None
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(layer._forward_hooks for layer in network.modules())
    assert not any(parameter._post_accumulate_grad_hooks for parameter in network.parameters())


def test_an_error_of_the_rerun_takes_the_hooks_away_too():
    network = nn.Sequential(nn.Linear(5, 3))
    with pytest.raises(RuntimeError, match="shapes"):
        find_first_non_finite(network, rerun)
    assert not any(layer._forward_hooks for layer in network.modules())


@pytest.mark.parametrize(
    "lack", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDNN_STATUS_ALLOC_FAILED")], ids=repr
)
def test_what_was_found_before_memory_ran_out_counts(lack):
    network = nn.Sequential(nn.Linear(3, 3))

    def rerun(network):
        network(torch.full((2, 3), float("inf")))
        raise lack

    assert find_first_non_finite(network, rerun).name == "0"


def test_memory_that_ran_out_before_anything_was_found_is_an_error():
    def rerun(network):
        network(torch.ones(2, 3)).mean().backward()
        raise torch.OutOfMemoryError("CUDA out of memory")

    network = nn.Linear(3, 3)
    with pytest.raises(torch.OutOfMemoryError):
        find_first_non_finite(network, rerun)
    assert network.weight.grad is None
