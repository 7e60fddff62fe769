import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn

from nnunet_mamba.models.nnunet.checkpoint_entries import AVERAGING, N_STEPS, TRAINING_WEIGHTS
from nnunet_mamba.networks.wrappers import bare_network
from nnunet_mamba.results.checkpoints import LATEST
from nnunet_mamba.training.averaged_weights import AveragedWeights
from nnunet_mamba.training.generated_trainers import load_trainer_with_suffixes
from nnunet_mamba.training.guarded_trainer import MOST_SKIPPED_STEPS
from nnunet_mamba.training.sentinel import TrainingStoppedError

ROBUST, PLAIN = "nnUNetTrainerUltraLightVM_robust_9epochs", "nnUNetTrainerUltraLightVM_9epochs"
DECAY = 0.999
NAN = float("nan")


def small_training(decay=DECAY, *, fused=None):
    """A network, its optimiser, its average, and a function that takes a step."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, fused=fused)
    average = AveragedWeights(network, optimizer, decay)

    def step(factor=1.0):
        optimizer.zero_grad()
        (network(torch.randn(8, 4)).square().sum() * factor).backward()
        optimizer.step()

    return network, optimizer, average, step


def values(network):
    return torch.cat([parameter.detach().flatten().clone() for parameter in network.parameters()])


def averages_of(network, average):
    with average.in_network():
        return values(network)


def batch(trainer, number, *, broken=False):
    generator = torch.Generator().manual_seed(number)
    patch = trainer.configuration_manager.patch_size
    data = torch.randn(2, 3, *patch, generator=generator)
    target = torch.randint(0, 2, (2, 1, *patch), generator=generator)
    return {"data": data * (NAN if broken else 1), "target": target, "keys": ["a", "b"]}


def take_steps(trainer, numbers, *, broken=False):
    trainer.network.train()
    for number in numbers:
        # Whatever drops something at random.
        torch.manual_seed(number)
        trainer.train_step(batch(trainer, number, broken=broken))


def latest(trainer):
    return str(Path(trainer.output_folder) / LATEST)


def stored_in(path):
    return torch.load(path, weights_only=False)


def written(trainer):
    """What a checkpoint of a trainer holds."""
    trainer.save_checkpoint(latest(trainer))
    return stored_in(latest(trainer))


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.fixture
def robust(build_trainer):
    trainer = build_trainer(ROBUST)
    trainer.initialize()
    return trainer


@pytest.mark.parametrize("decay", [0.5, DECAY])
def test_the_average_is_that_of_the_formula(decay):
    network, _, average, step = small_training(decay)
    expected = None
    for n in range(12):
        step()
        weights = values(network).double()
        rate = min(decay, (1 + n) / (10 + n))
        expected = weights if expected is None else rate * expected + (1 - rate) * weights
    torch.testing.assert_close(averages_of(network, average).double(), expected, rtol=1e-5, atol=1e-7)
    assert not torch.allclose(values(network).double(), expected, rtol=1e-2)


def test_training_is_that_without_an_average():
    network, _, average, step = small_training()
    for _ in range(5):
        step()
        averages_of(network, average)
    torch.manual_seed(0)
    alone = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    optimizer = torch.optim.AdamW(alone.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        alone(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()
    assert torch.equal(values(network), values(alone))


def test_the_network_has_the_average_in_the_block_alone_and_in_the_same_memory():
    network, _, average, step = small_training()
    before = values(network)
    with average.in_network():
        assert torch.equal(values(network), before)
    step()
    step()
    trained, places = values(network), [parameter.data_ptr() for parameter in network.parameters()]
    with average.in_network():
        inside = values(network)
        with average.in_network():
            assert torch.equal(values(network), inside)
        assert torch.equal(values(network), inside)
        assert not torch.equal(inside, trained)
    assert torch.equal(values(network), trained)
    assert [parameter.data_ptr() for parameter in network.parameters()] == places


def test_running_statistics_are_the_networks_own():
    network, _, average, step = small_training()
    step()
    step()
    statistics = network[1].running_mean.clone()
    with average.in_network():
        assert torch.equal(network[1].running_mean, statistics)


def test_an_optimiser_may_not_change_the_average_itself():
    _, _, average, step = small_training()
    step()
    average.put_in()
    with pytest.raises(RuntimeError, match="on_validation_epoch_end"):
        step()


@pytest.mark.parametrize("decay", [1.0, -0.1, NAN])
def test_a_decay_that_is_none_is_told(decay):
    with pytest.raises(ValueError, match="expected 0 <= decay < 1"):
        small_training(decay)


@pytest.mark.parametrize("fused", [None, True])
def test_a_step_that_a_loss_scaler_skips_changes_nothing(fused):
    network, optimizer, average, step = small_training(fused=fused)
    step()
    step()
    before, n_steps = averages_of(network, average), average.n_steps
    scaler = torch.amp.GradScaler("cpu")
    for factor in (float("inf"), 1.0):
        optimizer.zero_grad()
        scaler.scale(network(torch.randn(8, 4)).square().sum() * factor).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        is_skipped = factor == float("inf")
        assert average.n_steps == n_steps + (not is_skipped)
        assert torch.equal(averages_of(network, average), before) == is_skipped


def test_a_compiled_network_computes_with_the_average():
    network, _, average, step = small_training()
    compiled = torch.compile(network.eval(), backend="eager")
    image = torch.randn(2, 4)
    step()
    step()
    with torch.no_grad():
        trained = compiled(image)
        with average.in_network():
            assert torch.equal(compiled(image), network(image))
            assert not torch.equal(compiled(image), trained)
        assert torch.equal(compiled(image), trained)
    assert bare_network(compiled) is network


def test_a_training_that_continues_is_bit_for_bit_one_that_was_not_interrupted(build_trainer, robust):
    whole = robust
    start = {name: value.clone() for name, value in whole.network.state_dict().items()}
    take_steps(whole, range(6))

    first = build_trainer(ROBUST)
    first.initialize()
    first.network.load_state_dict(start)
    take_steps(first, range(3))
    first.save_checkpoint(latest(first))
    again = build_trainer(ROBUST)
    again.load_checkpoint(latest(first))
    assert again._averaged_weights.n_steps == 3
    take_steps(again, range(3, 6))

    one, other = written(whole), written(again)
    assert equal(whole.network.state_dict(), again.network.state_dict())
    assert equal(one["network_weights"], other["network_weights"])
    assert not equal(one["network_weights"], whole.network.state_dict())
    states = [checkpoint["optimizer_state"] for checkpoint in (one, other)]
    assert all(equal(states[0]["state"][place], states[1]["state"][place]) for place in states[0]["state"])
    assert states[0][AVERAGING][N_STEPS] == states[1][AVERAGING][N_STEPS] == 6
    assert equal(states[0][AVERAGING][TRAINING_WEIGHTS], states[1][AVERAGING][TRAINING_WEIGHTS])


def test_a_checkpoint_has_the_average_where_nnunet_reads_weights(robust, build_trainer):
    take_steps(robust, range(3))
    robust.save_checkpoint(latest(robust))
    weights = stored_in(latest(robust))["network_weights"]
    with robust._averages_in_network():
        assert equal(weights, robust.network.state_dict())
    assert not equal(weights, robust.network.state_dict())

    fine_tuned = build_trainer(PLAIN)
    fine_tuned.initialize()
    load_pretrained_weights(fine_tuned.network, latest(robust))
    body = {name: value for name, value in weights.items() if ".seg_layers." not in name}
    assert equal(body, {name: value for name, value in fine_tuned.network.state_dict().items() if name in body})


def test_an_average_begins_with_what_a_checkpoint_without_one_holds(build_trainer, robust):
    plain = build_trainer(PLAIN)
    plain.initialize()
    take_steps(plain, range(2))
    plain.save_checkpoint(latest(plain))
    take_steps(robust, range(1))
    robust.load_checkpoint(latest(plain))
    assert equal(robust.network.state_dict(), plain.network.state_dict())
    assert robust._averaged_weights.n_steps == 0
    with robust._averages_in_network():
        assert equal(robust.network.state_dict(), plain.network.state_dict())
    take_steps(robust, range(2, 4))
    assert robust._averaged_weights.n_steps == 2


def test_a_training_without_an_average_goes_on_from_the_average_of_another(build_trainer, robust):
    take_steps(robust, range(3))
    robust.save_checkpoint(latest(robust))
    plain = build_trainer(PLAIN)
    plain.load_checkpoint(latest(robust))
    assert equal(plain.network.state_dict(), stored_in(latest(robust))["network_weights"])
    take_steps(plain, range(3, 4))
    plain.save_checkpoint(latest(plain))
    assert AVERAGING not in stored_in(latest(plain))["optimizer_state"]


def test_stock_nnunet_writes_a_checkpoint_of_a_training_without_its_average(robust):
    take_steps(robust, range(3))
    nnUNetTrainer.save_checkpoint(robust, latest(robust))
    assert AVERAGING not in stored_in(latest(robust))["optimizer_state"]
    robust.load_checkpoint(latest(robust))
    assert robust._averaged_weights.n_steps == 0


def test_a_step_that_is_not_finite_leaves_the_average_alone(robust):
    take_steps(robust, range(2))
    before = {name: value.clone() for name, value in robust.network.state_dict().items()}
    averages = averages_of(robust.network, robust._averaged_weights)
    assert np.isnan(robust.train_step(batch(robust, 2, broken=True))["loss"])
    assert equal(robust.network.state_dict(), before)
    assert torch.equal(averages_of(robust.network, robust._averaged_weights), averages)
    assert robust._averaged_weights.n_steps == 2


def test_a_training_that_stops_keeps_its_average_to_continue(build_trainer, robust):
    take_steps(robust, range(2))
    averages = averages_of(robust.network, robust._averaged_weights)
    with pytest.raises(TrainingStoppedError):
        take_steps(robust, range(2, 3 + MOST_SKIPPED_STEPS), broken=True)
    again = build_trainer(ROBUST)
    again.load_checkpoint(latest(robust))
    assert equal(again.network.state_dict(), robust.network.state_dict())
    assert torch.equal(averages_of(again.network, again._averaged_weights), averages)


def test_the_average_validates_after_every_epoch_and_at_the_end(robust, monkeypatch):
    seen = []
    monkeypatch.setattr(nnUNetTrainer, "perform_actual_validation", lambda self, _: seen.append(values(self.network)))
    take_steps(robust, range(3))
    trained, averages = values(robust.network), averages_of(robust.network, robust._averaged_weights)
    robust.network.register_forward_hook(lambda network, *_: seen.append(values(network)))

    robust.on_validation_epoch_start()
    with torch.no_grad():
        outputs = robust.validation_step(batch(robust, 3))
    robust.on_validation_epoch_end([outputs])
    assert torch.equal(values(robust.network), trained)
    robust.perform_actual_validation()

    assert len(seen) == 2
    assert all(torch.equal(weights, averages) for weights in seen)
    assert torch.equal(values(robust.network), trained)


def test_a_whole_training_with_deep_supervision_averages_its_weights(planned, monkeypatch):
    for variable, value in planned.environment().items():
        monkeypatch.setenv(variable, value)
    plans = json.loads((planned.preprocessed / "nnUNetPlans.json").read_text())
    plans["configurations"]["2d"]["batch_size"] = 2
    dataset = json.loads((planned.preprocessed / "dataset.json").read_text())
    name = "nnUNetTrainerUltraLightVM_robust_deep_2epochs_2iterations"
    trainer = load_trainer_with_suffixes(name)(
        {**plans, "continue_training": False}, "2d", 0, dataset, torch.device("cpu")
    )
    trainer.run_training()
    folder = Path(trainer.output_folder)
    for file in ("checkpoint_best.pth", "checkpoint_final.pth"):
        stored = stored_in(folder / file)
        averaging = stored["optimizer_state"][AVERAGING]
        averages = {name: stored["network_weights"][name] for name in averaging[TRAINING_WEIGHTS]}
        assert not equal(averaging[TRAINING_WEIGHTS], averages)
    assert averaging[N_STEPS] == 4
    assert "averaged weights validate and predict (decay 0.999)" in Path(trainer.log_file).read_text()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({TRAINING_WEIGHTS: {"a": 1}}, "averaging has no training_weights that are tensors by name"),
        ({N_STEPS: "3"}, "averaging has the n_steps '3', expected a number of steps"),
        ({N_STEPS: 0}, "averaging has the n_steps 0"),
        ({TRAINING_WEIGHTS: {"a": torch.tensor(NAN)}}, "not finite .in optimizer_state.averaging.training_weights.a"),
        ({TRAINING_WEIGHTS: {"a": torch.zeros(2)}}, "other names or shapes than the network's"),
    ],
)
def test_what_is_wrong_with_the_weights_to_train_on_with_is_told(build_trainer, robust, change, told):
    take_steps(robust, range(2))
    robust.save_checkpoint(latest(robust))
    stored = stored_in(latest(robust))
    stored["optimizer_state"][AVERAGING] |= change
    torch.save(stored, latest(robust))
    # Told of the file itself where it is the only one, and else of all of them.
    with pytest.raises((ValueError, RuntimeError), match=told):
        build_trainer(ROBUST).load_checkpoint(latest(robust))
