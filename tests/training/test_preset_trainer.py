import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss
from optional_networks import all_trainers, lacking, with_small_sizes

from nnunet_mamba import presets
from nnunet_mamba.bundled import trainer_names
from nnunet_mamba.presets import PRESETS
from nnunet_mamba.training.deep_supervision import freeze_heads_without_logits
from nnunet_mamba.training.distillation.trainer import DistillationTrainer
from nnunet_mamba.training.generated_trainers import load_trainer, load_trainer_with_suffixes

NAME = "nnUNetTrainerUltraLightVM"
DISTILLATION = "nnUNetTrainerUltraLBMTDistill"


@pytest.fixture
def make_trainer(planned, monkeypatch):
    """Build a trainer of a name on the tiny data set, with changes to its dataset.json and plans."""
    for variable, value in planned.environment().items():
        monkeypatch.setenv(variable, value)

    def make(name=f"{NAME}_1epoch_2iterations", configuration="2d", device="cpu", labels=None, patch_size=None):
        plans = json.loads((planned.preprocessed / "nnUNetPlans.json").read_text())
        plans["continue_training"] = False
        if patch_size:
            plans["configurations"]["2d"]["patch_size"] = list(patch_size)
        dataset = json.loads((planned.preprocessed / "dataset.json").read_text())
        dataset.update(labels or {})
        return load_trainer_with_suffixes(name)(plans, configuration, 0, dataset, torch.device(device))

    return make


def _batch(trainer, n_labels: int = 2):
    generator = torch.Generator().manual_seed(0)
    patch = trainer.configuration_manager.patch_size
    label = torch.randint(0, n_labels, (2, 1, *patch), generator=generator)
    return {"data": torch.randn(2, 3, *patch, generator=generator), "target": label}


def test_takes_the_budget_and_the_recipe(make_trainer):
    trainer = make_trainer(f"{NAME}_7epochs")
    assert (trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch) == (7, 250, 50)
    small = make_trainer(f"{NAME}_2epochs_20iterations")
    assert (small.num_epochs, small.num_iterations_per_epoch, small.num_val_iterations_per_epoch) == (2, 20, 4)
    assert make_trainer(f"{NAME}_1epoch_3iterations").num_val_iterations_per_epoch == 1
    assert not small.enable_deep_supervision
    small.initialize()
    assert isinstance(small.optimizer, torch.optim.AdamW)
    assert small.optimizer.param_groups[0]["lr"] == pytest.approx(1e-3)
    assert load_trainer(NAME).recipe.num_epochs == 200


def test_labels_train_with_softmax_cross_entropy_and_dice(make_trainer):
    trainer = make_trainer(labels={"labels": {"background": 0, "a": 1, "b": 2}})
    trainer.initialize()
    assert isinstance(trainer.loss, DC_and_CE_loss)
    assert trainer.network(torch.zeros(1, 3, 52, 60)).shape == (1, 3, 52, 60)
    assert np.isfinite(trainer.train_step(_batch(trainer, 3))["loss"])


def test_a_region_of_one_label_trains_one_sigmoid_head(make_trainer):
    trainer = make_trainer(labels={"labels": {"background": 0, "lesion": [1, 1]}, "regions_class_order": [1]})
    trainer.initialize()
    assert isinstance(trainer.loss, DC_and_BCE_loss)
    assert trainer.network(torch.zeros(1, 3, 52, 60)).shape == (1, 1, 52, 60)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    assert np.isfinite(trainer.train_step(_batch(trainer))["loss"])
    changed = [name for name, value in trainer.network.state_dict().items() if not torch.equal(value, before[name])]
    assert any("seg_layers" in name for name in changed)
    assert any("A_log" in name for name in changed)


@pytest.mark.parametrize("patch_size", [(52, 60), (33, 47), (64, 64)])
def test_any_patch_size_trains(make_trainer, patch_size):
    trainer = make_trainer(patch_size=patch_size)
    trainer.initialize()
    assert np.isfinite(trainer.train_step(_batch(trainer))["loss"])


def test_a_3d_configuration_of_a_2d_network_is_refused_before_anything_is_written(make_trainer, planned):
    with pytest.raises(
        NotImplementedError, match=r"trains 2D configurations.*3D patches.*'2d'.*nnUNetTrainer"
    ) as error:
        make_trainer("nnUNetTrainerVMUNet_1epoch", patch_size=(16, 32, 32))
    assert "nnUNetTrainerVMUNet" in str(error.value)
    assert list(planned.results.iterdir()) == []


@pytest.mark.parametrize("variable", ["nnUNet_preprocessed", "nnUNet_results"])
def test_an_unset_nnunet_variable_is_named_with_the_way_to_set_it(make_trainer, monkeypatch, variable):
    monkeypatch.delenv(variable)
    with pytest.raises(FileNotFoundError, match=rf"{variable} is not set[\s\S]*export {variable}="):
        make_trainer()


def test_falls_back_to_the_cpu_with_one_line(make_trainer, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    trainer = make_trainer(device="cuda")
    assert trainer.device == torch.device("cpu")
    assert trainer.grad_scaler is None
    printed = capsys.readouterr().out
    assert printed.count("No CUDA device found: training on the CPU") == 1
    assert "No CUDA device found" in Path(trainer.log_file).read_text()


def test_predicting_builds_the_same_network_from_the_class(make_trainer):
    trainer = make_trainer()
    trainer.initialize()
    network = type(trainer).build_network_architecture(
        trainer.plans_manager, trainer.configuration_manager, 3, 2, enable_deep_supervision=False
    )
    network.load_state_dict(trainer.network.state_dict(), strict=True)


def test_every_preset_has_a_trainer_and_every_trainer_a_preset():
    assert trainer_names() == sorted([*(preset.trainer for preset in PRESETS.values()), DISTILLATION])
    for preset in PRESETS.values():
        assert load_trainer(preset.trainer).preset is preset


IN_2D, IN_3D = (40, 48), (8, 32, 32)
# Its deepest map is a thirty-second of the patch, and must have two positions.
LARGER = {("nnUNetTrainerMonaiSwinUNETR", IN_3D): (8, 32, 40)}


def _marks(name, patch_size):
    slow = [pytest.mark.slow] if (name, patch_size) in LARGER else []
    return [*slow, *lacking(load_trainer(name).preset)]


TRAINED = [
    pytest.param(
        (name, LARGER.get((name, patch_size), patch_size)),
        id=f"{name}-{len(patch_size)}d",
        marks=_marks(name, patch_size),
    )
    for name in trainer_names()
    for patch_size in (IN_2D, IN_3D)
    if len(patch_size) in load_trainer(name).preset.spatial_dims
]


@pytest.fixture(scope="module", params=TRAINED)
def initialised(request, trainers_in, tmp_path_factory):
    """Each trainer in 2D and in 3D with its network, shared by tests that leave it able to train."""
    name, patch_size = request.param
    preset = load_trainer(name).preset
    with pytest.MonkeyPatch.context() as patch:
        # Those of libraries have millions of weights, with which this would take minutes.
        patch.setitem(presets._BY_NAME, preset.name, with_small_sizes(preset))
        trainer = trainers_in(tmp_path_factory.mktemp("folders"), patch)(f"{name}_1epoch_1iteration", patch_size)
        trainer.initialize()
        yield trainer


def test_every_trainer_trains_and_validates_a_batch(initialised):
    trainer = initialised
    if isinstance(trainer, DistillationTrainer):
        pytest.skip("needs a teacher, see test_distillation.py")
    before = {key: value.clone() for key, value in trainer.network.state_dict().items()}
    batch = _batch(trainer)
    if trainer.enable_deep_supervision:
        scales = trainer._get_deep_supervision_scales()
        batch["target"] = [
            torch.nn.functional.interpolate(batch["target"].float(), scale_factor=scale).long() for scale in scales
        ]

    trained, validated = trainer.train_step(batch), trainer.validation_step(batch)
    trainer.set_deep_supervision_enabled(False)

    assert np.isfinite(trained["loss"])
    assert np.isfinite(validated["loss"])
    assert trainer.network(batch["data"]).shape == (2, 2, *trainer.configuration_manager.patch_size)
    assert not all(torch.equal(value, before[key]) for key, value in trainer.network.state_dict().items())


def test_every_parameter_has_a_gradient_or_is_frozen_for_distributed_training(initialised):
    trainer, network = initialised, initialised.network
    trainer.set_deep_supervision_enabled(True)
    network.zero_grad(set_to_none=True)
    if not trainer.enable_deep_supervision:
        freeze_heads_without_logits(network)

    outputs = network(torch.randn(2, 3, *trainer.configuration_manager.patch_size))
    sum(logits.mean() for logits in (outputs if trainer.enable_deep_supervision else [outputs])).backward()

    parameters = network.named_parameters()
    assert [name for name, parameter in parameters if parameter.requires_grad and parameter.grad is None] == []


def test_u_mamba_trains_as_nnunet_does_and_spares_its_state_space(build_trainer):
    trainer = build_trainer("nnUNetTrainerUMambaBot_2epochs", IN_2D)
    trainer.initialize()

    decayed, kept = trainer.optimizer.param_groups
    assert isinstance(trainer.optimizer, torch.optim.SGD)
    assert (decayed["lr"], decayed["momentum"], decayed["nesterov"]) == (1e-2, 0.99, True)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (3e-5, 0)
    assert any(value is trainer.network.mamba_layer.mamba.A_log for value in kept["params"])
    trainer.lr_scheduler.step(1)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(1e-2 * 0.5**0.9)


def test_deep_supervision_has_one_output_for_every_resolution_of_the_plan(build_trainer):
    trainer = build_trainer("nnUNetTrainerUMambaBot_1epoch", IN_2D)
    trainer.initialize()
    image = torch.zeros(1, 3, 40, 48)

    assert [tuple(logits.shape[2:]) for logits in trainer.network(image)] == [(40, 48), (20, 24)]
    trainer.set_deep_supervision_enabled(False)
    assert trainer.network(image).shape == (1, 2, 40, 48)


def test_u_mamba_enc_is_as_wide_as_the_patches_of_the_plan(build_trainer):
    trainer = build_trainer("nnUNetTrainerUMambaEnc_1epoch", (12, 16))
    trainer.initialize()

    assert trainer.network.input_size == (12, 16)
    assert trainer.network.encoder.mamba_layers[2].d_model == 3 * 4


def test_takes_over_the_splits_beside_the_raw_data_unless_there_are_others(make_trainer, planned):
    names = [f"disc_{number:02d}" for number in range(10)]
    folds = [{"train": names[:7], "val": names[7:]}]
    (planned.root / "nnUNet_raw" / planned.dataset / "splits_final.json").write_text(json.dumps(folds))
    train, val = make_trainer().do_split()
    assert (train, val) == (names[:7], names[7:])
    assert json.loads((planned.preprocessed / "splits_final.json").read_text()) == folds
    (planned.preprocessed / "splits_final.json").write_text(json.dumps([{"train": names[:2], "val": names[2:]}]))
    assert make_trainer().do_split() == (names[:2], names[2:])


def test_without_splits_beside_the_raw_data_nnunet_draws_its_own(make_trainer, planned):
    train, val = make_trainer().do_split()
    assert (len(train), len(val)) == (8, 2)


def test_deep_supervision_switches_nothing(make_trainer):
    trainer = make_trainer()
    trainer.initialize()
    trainer.set_deep_supervision_enabled(True)
    assert isinstance(trainer.network(torch.zeros(1, 3, 64, 64)), torch.Tensor)


def test_estimates_the_time_left_once_after_the_first_epoch(make_trainer, capsys):
    trainer = make_trainer(f"{NAME}_3epochs_1iteration")
    trainer.disable_checkpointing = True
    trainer.run_training()
    printed = capsys.readouterr().out
    assert printed.count("of training left (epochs done: 1 of 3)") == 1
    assert printed.index("Epoch 0") < printed.index("of training left") < printed.index("Epoch 1")


def test_what_a_killed_run_was_writing_is_cleared_away(make_trainer):
    trainer = make_trainer(f"{NAME}_1epoch_1iteration")
    left = Path(trainer.output_folder) / ".partial-1-checkpoint_latest.pth"
    left.write_bytes(b"half")
    trainer.run_training()
    assert not left.exists()
    assert (Path(trainer.output_folder) / "checkpoint_final.pth").exists()


def test_disabled_checkpointing_writes_nothing(make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.disable_checkpointing = True
    trainer.save_checkpoint(str(tmp_path / "checkpoint_latest.pth"))
    assert list(tmp_path.glob("*.pth")) == []


@pytest.mark.parametrize(("batch_size", "told"), [(8, False), (9, True)])
def test_a_batch_larger_than_the_papers_is_told_in_the_log_with_the_way_to_fitting_plans(
    make_trainer, planned, batch_size, told
):
    file = planned.preprocessed / "nnUNetPlans.json"
    plans = json.loads(file.read_text())
    plans["configurations"]["2d"]["batch_size"] = batch_size
    file.write_text(json.dumps(plans))
    trainer = make_trainer(f"{NAME}_1epoch_1iteration")
    trainer.on_train_start()
    text = Path(trainer.log_file).read_text()
    lines = [line for line in text.splitlines() if "batches of" in line]
    command = (
        f"nnunet-mamba plan 901 --trainers {NAME}_1epoch_1iteration --configuration 2d; then train with -p nnUNetUltra"
    )
    assert len(lines) == told
    assert all(f"nnUNetPlans has batches of {batch_size} for 2d" in line and command in line for line in lines)


@pytest.mark.parametrize("suffix", ["_nnunet", "_2epochs"])
@pytest.mark.parametrize("name", all_trainers())
def test_every_trainer_whose_recipe_limits_the_batch_tells_a_larger_one(build_trainer, name, suffix):
    trainer = build_trainer(f"{name}{suffix}")
    largest = trainer.recipe.largest_batch_size
    assert trainer.batch_notice() is None
    trainer.configuration_manager.configuration["batch_size"] = 33
    notice = trainer.batch_notice()
    if largest is None:
        assert notice is None
    else:
        assert f"and the recipe of {name}{suffix}, after its paper, has {largest} at most" in notice
        assert len(notice.splitlines()) == 1


def test_plans_and_labels_without_sense_are_refused_before_anything_is_written(make_trainer, planned):
    with pytest.raises(ValueError, match=r"patch_size \[40, 0\], expected a positive whole number"):
        make_trainer(patch_size=(40, 0))
    with pytest.raises(ValueError, match=r'dataset\.json: label "disc" is null'):
        make_trainer(labels={"labels": {"background": 0, "disc": None}})
    with pytest.raises(ValueError, match="there is no configuration '3d_fullres'"):
        make_trainer(configuration="3d_fullres")
    assert list(planned.results.iterdir()) == []


def test_splits_that_are_none_are_refused(make_trainer, planned):
    file = planned.preprocessed / "splits_final.json"
    trainer = make_trainer()
    trainer.initialize()
    for content in ("{}", '[{"train": ["disc_00"]}]', "[", '[{"train": ["disc_00"], "val": []}]'):
        file.write_text(content)
        with pytest.raises(ValueError, match=str(file)):
            trainer.do_split()


@pytest.mark.parametrize("variable", ["nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"])
def test_a_folder_that_no_shell_expanded_is_refused_before_anything_is_written(
    make_trainer, monkeypatch, tmp_path, variable
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    monkeypatch.setenv(variable, "~/nnunet")
    with pytest.raises(ValueError, match=rf'{variable} is .*export {variable}="\$HOME/nnunet"'):
        make_trainer()
    assert sorted(tmp_path.iterdir()) == before
