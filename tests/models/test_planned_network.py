import pytest
import torch
from trained_models import plans_of_nnunet

from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.models.planned_network import build_network, other_kinds, planned_network, preset_of_trainer
from nnunet_mamba.training.generated_trainers import load_trainer, load_trainer_with_suffixes


@pytest.mark.parametrize("suffix", ["", "_20epochs", "_paper", "_nnunet_2epochs_3iterations", "_robust_2epochs_seed1"])
def test_every_bundled_trainer_has_the_network_that_it_trains(suffix):
    for name in trainer_names():
        assert preset_of_trainer(name + suffix) is load_trainer(name).preset


@pytest.mark.parametrize(
    "name",
    [
        "nnUNetTrainer",
        "nnUNetTrainer_20epochs",
        "nnUNetTrainerUltraLightVM_mine",
        "nnUNetTrainerUltraLightVM_parallel1_mine",
        "nnUNetTrainerUltraLightVM_dropPath0",
        "Mine",
    ],
)
def test_other_trainers_have_none(name):
    assert preset_of_trainer(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "nnUNetTrainerUltraLightVM",
        "nnUNetTrainerUltraLightVM_deep_2epochs",
        "nnUNetTrainerUltraLightVM_convEncoder_deep_2epochs",
        "nnUNetTrainerUMambaBotPP",
    ],
)
def test_the_described_network_is_the_trainers_own(name):
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = plans_of_nnunet()
    manager = PlansManager(plans)
    trainer = load_trainer_with_suffixes(name) if "_" in name else load_trainer(name)
    network = trainer.build_network_architecture(manager, manager.get_configuration("2d"), 3, 2)
    described = planned_network(name, plans["configurations"]["base"], input_channels=3, num_classes=2)
    from nnunet_mamba import create_network

    ours = create_network(described.preset, 3, 2, **described.arguments)
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: value.shape for key, value in network.state_dict().items()
    }


def test_a_volume_takes_its_strides_from_the_plans():
    planned = {
        "patch_size": [16, 32, 32],
        "architecture": {"arch_kwargs": {"strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]]}},
    }
    described = planned_network("nnUNetTrainerUltraLBM", planned, input_channels=1, num_classes=2)
    assert described.spatial_dims == 3
    assert described.arguments["strides"][0] == (1, 2, 2)
    assert "spatial_dims" not in described.arguments


def test_plans_without_stages_are_told_where_the_network_needs_them():
    planned = {"patch_size": [64, 64]}
    told = "the architecture has no 'features_per_stage', which decides the network of nnUNetTrainerUMambaBot"
    with pytest.raises(ValueError, match=told):
        planned_network("nnUNetTrainerUMambaBot", planned, input_channels=1, num_classes=2)
    described = planned_network("nnUNetTrainerUltraLBM", planned, input_channels=1, num_classes=2)
    assert described.arguments == {"channels": (8, 16, 24, 32, 48, 64)}


def test_more_or_fewer_bits_of_one_kind_of_numbers_are_carried():
    state = torch.nn.BatchNorm1d(2).state_dict()
    weights = {name: value.half() if value.is_floating_point() else value.int() for name, value in state.items()}
    assert weights["num_batches_tracked"].dtype == torch.int32
    assert other_kinds(weights, state) == []
    assert other_kinds(state, state) == []


@pytest.mark.parametrize(
    ("name", "dtype", "own"),
    [
        ("weight", "int8", "float32"),
        ("weight", "bool", "float32"),
        ("weight", "complex64", "float32"),
        ("num_batches_tracked", "float32", "int64"),
        ("num_batches_tracked", "bool", "int64"),
    ],
)
def test_another_kind_of_numbers_is_told(name, dtype, own):
    state = torch.nn.BatchNorm1d(2).state_dict()
    weights = {**state, name: state[name].to(getattr(torch, dtype))}
    assert other_kinds(weights, state) == [f"{name} torch.{dtype}, the network has torch.{own}"]


def test_whole_numbers_in_the_place_of_weights_are_refused_in_one_sentence():
    planned = {"patch_size": [64, 64]}
    described = planned_network("nnUNetTrainerUltraLBM", planned, input_channels=3, num_classes=2)
    from nnunet_mamba import create_network

    weights = create_network(described.preset, 3, 2, **described.arguments).state_dict()
    assert build_network(described, weights, place="the model") is not None
    name = next(iter(weights))
    told = rf"^the model is not of this network, .*: it has another kind of numbers in {name} torch\.int64, the network"
    with pytest.raises(ValueError, match=told):
        build_network(described, {**weights, name: weights[name].long()}, place="the model")
