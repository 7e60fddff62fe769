"""A trainer whose name has a variant builds the variant's network, wherever nnU-Net asks for it."""

import pytest
import torch
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

from nnunet_mamba import create_network
from nnunet_mamba.presets import PRESETS
from nnunet_mamba.training import preset_trainer
from nnunet_mamba.training.generated_trainers import load_trainer, load_trainer_with_suffixes

# Images are padded to 256 by no network, and every level of one is pooled.
PATCHES = {2: (64, 64), 3: (32, 64, 64)}
VARIANTS = [
    pytest.param(preset, variant, dims, id=f"{preset.name}-{variant}-{dims}d")
    for preset in PRESETS.values()
    for variant in preset.variants
    for dims in preset.spatial_dims
]


def _configuration(dims):
    stages = {"strides": [[1] * dims, *[[2] * dims] * 5]}
    return {"patch_size": list(PATCHES[dims]), "architecture": {"arch_kwargs": stages}}


def _built(trainer, dims, *, channels=3, classes=1):
    with torch.device("meta"):
        return trainer.build_network_architecture(None, ConfigurationManager(_configuration(dims)), channels, classes)


def _shapes(network):
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


@pytest.mark.parametrize(("preset", "variant", "dims"), VARIANTS)
def test_a_variants_trainer_builds_what_create_network_makes_of_its_overrides(preset, variant, dims, monkeypatch):
    given = {}

    def create(name, *channels, **arguments):
        given.update(arguments)
        return create_network(name, *channels, **arguments)

    monkeypatch.setattr(preset_trainer, "create_network", create)
    trainer = load_trainer_with_suffixes(f"{preset.trainer}_{variant}_nnunet_2epochs_seed1")
    network = _built(trainer, dims)
    planned = {"strides", "spatial_dims"} if dims == 3 else set()
    assert {name: value for name, value in given.items() if name not in planned} == preset.overrides(variant)
    with torch.device("meta"):
        expected = create_network(preset.name, 3, 1, **preset.overrides(variant), spatial_dims=dims)
    assert _shapes(network) == _shapes(expected)


def test_the_drop_path_of_the_name_is_in_the_blocks():
    rates = {}
    for variant in ("dropPath0", "dropPath01", "dropPath03"):
        network = _built(load_trainer_with_suffixes(f"nnUNetTrainerVMUNet_{variant}"), 2)
        rates[variant] = max(getattr(module, "drop_prob", 0.0) for module in network.modules())
    assert rates == pytest.approx({"dropPath0": 0.0, "dropPath01": 0.1, "dropPath03": 0.3})


def test_without_a_variant_a_trainer_builds_the_published_network():
    for name in ("nnUNetTrainerVMUNet_2epochs", "nnUNetTrainerUltraLBMTDistill_kl"):
        trainer = load_trainer_with_suffixes(name)
        assert _shapes(_built(trainer, 2)) == _shapes(_built(load_trainer(name.split("_")[0]), 2))


def test_a_variant_can_have_deep_supervision():
    network = _built(load_trainer_with_suffixes("nnUNetTrainerUltraLBM_kernels333_deep"), 2)
    with torch.device("meta"):
        expected = create_network("ultralbm_unet", 3, 1, kernel_sizes=(3, 3, 3), deep_supervision=True)
    assert _shapes(network) == _shapes(expected)
    assert network.deep_supervision


def test_its_checkpoint_is_predicted_with_and_no_other_network_takes_it(build_trainer):
    trainer = build_trainer("nnUNetTrainerUltraLightVM_parallel2_1epoch_1iteration")
    trainer.initialize()
    trainer.save_checkpoint(f"{trainer.output_folder}/checkpoint_final.pth")
    stored = torch.load(f"{trainer.output_folder}/checkpoint_final.pth", weights_only=False)
    assert stored["trainer_name"] == "nnUNetTrainerUltraLightVM_parallel2_1epoch_1iteration"
    plans = PlansManager(stored["init_args"]["plans"])
    arguments = (plans, plans.get_configuration("2d"), 3, 2)
    load_trainer_with_suffixes(stored["trainer_name"]).build_network_architecture(*arguments).load_state_dict(
        stored["network_weights"]
    )
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_trainer("nnUNetTrainerUltraLightVM").build_network_architecture(*arguments).load_state_dict(
            stored["network_weights"]
        )
