import copy

import pytest
import torch
from torch import nn

from nnunet_mamba.training.sentinel import MOST_OVERFLOWS, NonFiniteStepError, Sentinel


class Loss(nn.Module):
    """The mean, or what it is told."""

    def __init__(self):
        super().__init__()
        self.factor = 1.0

    def forward(self, output):
        return output.mean() * self.factor


@pytest.fixture
def training():
    """A network with running statistics, its loss, an optimiser, and a sentinel that watches them."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 1, 1))
    loss, optimizer = Loss(), torch.optim.AdamW(network.parameters(), lr=0.1)
    sentinel = Sentinel(network, most_in_a_row=2)
    sentinel.watch(loss, optimizer)
    return network, loss, optimizer, sentinel


def batch(**changes):
    data = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    return {"data": data, "keys": ["case_7", "case_3"], **changes}


def step(training, data):
    network, loss, optimizer, _ = training
    optimizer.zero_grad(set_to_none=True)
    value = loss(network(data))
    value.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
    optimizer.step()


def passes(training, data):
    _, loss, *_ = training
    return lambda network: loss(network(data)).backward()


def test_a_loss_that_is_not_finite_changes_nothing_and_is_explained(training):
    network, loss, _, sentinel = training
    step(training, batch()["data"])
    sentinel.passed()
    before = copy.deepcopy(network.state_dict())
    loss.factor = float("nan")

    with pytest.raises(NonFiniteStepError, match="the loss is nan") as error:
        step(training, batch()["data"])
    skipped = sentinel.skip(error.value, batch(), passes(training, batch()["data"]))

    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items() if "num_" not in name)
    assert "Cases of this batch: case_3, case_7." in str(skipped)
    assert "(1 in a row, at most 2)" in str(skipped)
    assert not skipped.is_one_too_many


def test_names_the_layer_that_began(training):
    network, _, _, sentinel = training
    data = batch()["data"]
    with torch.no_grad():
        network[2].weight.fill_(3e38)
        network[2].bias.fill_(3e38)
    with pytest.raises(NonFiniteStepError, match=r"the loss is (nan|-?inf)") as error:
        step(training, data)
    assert "is 2 (Conv2d)" in str(sentinel.skip(error.value, batch(), passes(training, data)))


def test_names_the_cases_whose_images_are_not_finite(training):
    *_, sentinel = training
    data = batch()["data"]
    data[1, 0, 2, 2] = float("nan")
    with pytest.raises(NonFiniteStepError) as error:
        step(training, data)
    text = str(sentinel.skip(error.value, batch(data=data), passes(training, data)))
    assert "The images themselves hold values that are not finite, in case_3: preprocess" in text


def test_names_weights_that_were_spoilt_before(training):
    network, _, _, sentinel = training
    with torch.no_grad():
        network[0].weight[0, 0, 0, 0] = float("inf")
    with pytest.raises(NonFiniteStepError) as error:
        step(training, batch()["data"])
    text = str(sentinel.skip(error.value, batch(), passes(training, batch()["data"])))
    assert "1 weights are not finite already, 0.weight among them" in text


def test_gradients_that_are_not_finite_never_reach_the_weights(training):
    network, _, optimizer, sentinel = training
    before = copy.deepcopy(network.state_dict())
    optimizer.zero_grad()
    network(batch()["data"]).mean().backward()
    network[2].bias.grad.fill_(float("nan"))
    with pytest.raises(NonFiniteStepError, match="gradients are not finite"):
        optimizer.step()
    assert torch.equal(network[2].weight, before["2.weight"])
    assert sentinel.n_skipped == 0


def test_validation_is_not_stopped(training):
    network, loss, *_ = training
    loss.factor = float("inf")
    network.eval()
    assert not torch.isfinite(loss(network(batch()["data"])))
    network.train()
    with torch.no_grad():
        assert not torch.isfinite(loss(network(batch()["data"])))


def test_skipped_steps_count_until_one_happens(training):
    *_, sentinel = training
    rerun = passes(training, batch()["data"])
    error = NonFiniteStepError("the loss is nan")
    counts = [sentinel.skip(error, batch(), rerun).is_one_too_many for _ in range(3)]
    assert counts == [False, False, True]
    sentinel.passed()
    assert not sentinel.skip(error, batch(), rerun).is_one_too_many


class Scaler:
    """Stands in for CUDA's, of which only the scale is read."""

    def __init__(self):
        self.scale = 2.0**16

    def get_scale(self):
        return self.scale


def test_a_scaler_may_overflow_but_not_for_ever(training):
    *_, sentinel = training
    scaler = Scaler()
    sentinel.passed(scaler)
    for _ in range(3):
        for _ in range(MOST_OVERFLOWS):
            scaler.scale /= 2
            sentinel.passed(scaler)
        sentinel.passed(scaler)
    for _ in range(MOST_OVERFLOWS):
        scaler.scale /= 2
        sentinel.passed(scaler)
    scaler.scale /= 2
    with pytest.raises(NonFiniteStepError, match=f"overflowed in {MOST_OVERFLOWS + 1} steps in a row"):
        sentinel.passed(scaler)


@pytest.mark.parametrize(
    "lack",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["torch", "cuDNN", "computer"],
)
def test_memory_that_is_too_short_for_the_search_is_said(training, lack):
    network, loss, _, sentinel = training
    loss.factor = float("nan")
    with pytest.raises(NonFiniteStepError) as error:
        step(training, batch()["data"])

    def rerun(network):
        raise lack

    text = str(sentinel.skip(error.value, batch(), rerun))
    assert "the loss is nan. Memory was too short to look for the layer" in text
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_search_begins_without_the_gradients_of_the_step(training):
    network, _, optimizer, sentinel = training
    optimizer.zero_grad()
    network(batch()["data"]).mean().backward()
    found = []
    sentinel.skip(
        NonFiniteStepError("gradients are not finite"),
        batch(),
        lambda network: found.extend(parameter.grad for parameter in network.parameters()),
    )
    assert found == [None] * 6


def test_every_case_with_a_foreign_image_is_named_and_not_only_the_first(training):
    *_, sentinel = training
    error = NonFiniteStepError("the loss is nan")
    sentinel.skip(error, batch(), lambda network: None)
    data = batch()["data"]
    data[0, 0, 2, 2] = float("inf")
    assert "not finite, in case_7: preprocess" in str(sentinel.skip(error, batch(data=data), lambda network: None))
