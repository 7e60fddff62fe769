import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunet_mamba.models.nnunet.checkpoint_reading import CodeInCheckpointError
from nnunet_mamba.training.distillation.losses import TEACHER_TERMS, teacher_terms
from nnunet_mamba.training.distillation.settings import SETTINGS_VARIABLE, DistillationSettings
from nnunet_mamba.training.distillation.teacher import TEACHER_VARIABLE

TEACHER = "nnUNetTrainerUltraLBM"
STUDENT = "nnUNetTrainerUltraLBMTDistill_1epoch_1iteration"
REGIONS = {"labels": {"background": 0, "whole": [1, 2], "core": [2, 2]}, "regions_class_order": [1, 2]}
THREE_LABELS = {"labels": {"background": 0, "disc": 1, "ring": 2}}


def _batch(trainer):
    """A batch as nnU-Net's data loader gives it, of discs: labels, or region by region."""
    generator = torch.Generator().manual_seed(0)
    patch = trainer.configuration_manager.patch_size
    n_labels = len(trainer.dataset_json["labels"])
    label = torch.randint(0, n_labels, (2, 1, *patch), generator=generator)
    if trainer.label_manager.has_regions:
        label = torch.cat([torch.isin(label, torch.tensor(region)) for region in ([1, 2], [2])], dim=1)
    return {"data": torch.randn(2, 3, *patch, generator=generator), "target": label}


def _snapshot(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def _unequal(state, before):
    return [name for name, value in state.items() if not torch.equal(value, before[name])]


@pytest.mark.parametrize("patch_size", [(40, 48), (8, 32, 32)], ids=["2d", "3d"])
@pytest.mark.parametrize("labels", [None, THREE_LABELS, REGIONS], ids=["one label", "two labels", "regions"])
def test_trains_the_student_with_the_weighted_terms_and_leaves_the_teacher_alone(
    make, teach, monkeypatch, labels, patch_size
):
    monkeypatch.setenv(SETTINGS_VARIABLE, "hard=0.5,soft=2,attention=3,gradient=4,temperature=0.1")
    teach(labels=labels, patch_size=patch_size)
    trainer = make(labels=labels, patch_size=patch_size)
    trainer.load_teacher()
    batch = _batch(trainer)
    before, taught = _snapshot(trainer.network), _snapshot(trainer.teacher)
    with torch.no_grad():
        logits = trainer.network.train()(batch["data"])
        hard = trainer.loss(logits, batch["target"])
        has_regions = trainer.label_manager.has_regions
        expected = teacher_terms(logits, trainer.teacher(batch["data"]), trainer.settings, has_regions=has_regions)
    trainer.network.load_state_dict(before)
    nnunet_loss = trainer.loss

    outputs = trainer.train_step(batch)

    assert trainer.loss is nnunet_loss
    assert outputs["hard"] == pytest.approx(hard.item(), rel=1e-4)
    assert {name: outputs[name] for name in expected} == pytest.approx(
        {name: term.item() for name, term in expected.items()}, rel=1e-4
    )
    weighted = 0.5 * outputs["hard"] + 2 * outputs["soft"] + 3 * outputs["attention"] + 4 * outputs["gradient"]
    assert outputs["loss"] == pytest.approx(weighted, rel=1e-5)
    assert len(_unequal(trainer.network.state_dict(), before)) > len(before) / 2
    assert _unequal(trainer.teacher.state_dict(), taught) == []
    assert not trainer.teacher.training
    assert all(not value.requires_grad and value.grad is None for value in trainer.teacher.parameters())


def test_a_step_can_be_tried_before_there_is_a_teacher(make):
    trainer = make()
    trainer.initialize()
    trainer.prepare_trial_steps()
    outputs = trainer.train_step(_batch(trainer))
    assert np.isfinite(outputs["loss"])
    assert {"hard", *TEACHER_TERMS} <= outputs.keys()


def test_only_the_student_is_optimised_and_saved(make, teach, tmp_path):
    teach()
    trainer, plain = make(), make("nnUNetTrainerUltraLBMT")
    trainer.load_teacher()
    plain.initialize()
    optimised = [value for group in trainer.optimizer.param_groups for value in group["params"]]
    assert {id(value) for value in optimised} == {id(value) for value in trainer.network.parameters()}
    trainer.save_checkpoint(str(tmp_path / "student.pth"))
    weights = torch.load(tmp_path / "student.pth", weights_only=False)["network_weights"]
    assert weights.keys() == plain.network.state_dict().keys()
    plain.network.load_state_dict(weights, strict=True)


def test_the_gradient_of_every_term_reaches_the_student(make, teach, monkeypatch):
    teach()
    gradients = {}
    for name in ("hard", "soft", "attention", "gradient"):
        others = {"hard", "soft", "attention", "gradient"} - {name}
        monkeypatch.setenv(SETTINGS_VARIABLE, ",".join(f"{other}=0" for other in others))
        torch.manual_seed(1)
        trainer = make()
        trainer.load_teacher()
        trainer.train_step(_batch(trainer))
        gradients[name] = torch.cat([value.grad.flatten() for value in trainer.network.parameters()])
    assert all(gradient.norm() > 0 for gradient in gradients.values())
    assert not torch.allclose(gradients["hard"], gradients["soft"])


def test_the_validation_loss_is_nnunets_own(make, teach):
    teach()
    trainer = make()
    trainer.load_teacher()
    trainer.network.eval()
    batch = _batch(trainer)
    with torch.no_grad():
        loss = trainer.loss(trainer.network(batch["data"]), batch["target"]).item()
        assert trainer.validation_step(batch)["loss"] == pytest.approx(loss)


def test_a_step_that_is_not_finite_changes_nothing_and_is_not_in_the_means(make, teach, capsys):
    teach()
    trainer = make()
    trainer.load_teacher()
    batch = _batch(trainer)
    spoilt = {**batch, "data": batch["data"] * np.nan}
    nnunet_loss = trainer.loss
    first, second = trainer.train_step(spoilt), trainer.train_step(batch)
    assert np.isnan(first["loss"])
    assert np.isfinite(second["loss"])
    assert trainer.loss is nnunet_loss
    trainer.on_train_epoch_end([first, second])
    assert f"hard {second['hard']:.4g}, soft {second['soft']:.4g}" in capsys.readouterr().out


@pytest.mark.parametrize("name", [TEACHER, f"{TEACHER}_20epochs", f"{TEACHER}_2epochs_3iterations"])
def test_takes_the_finished_training_of_the_same_fold(make, teach, name):
    checkpoint = teach(name)
    teach(TEACHER, fold=1)
    for other in ("nnUNetTrainerUltraLBMT", "nnUNetTrainerUltraLBMNoMamba_20epochs"):
        teach(other)
    assert make().load_teacher() == checkpoint


def test_takes_a_teacher_with_other_plans_for_the_same_data_only_without_one_of_the_same_plans(make, teach):
    other = teach(plans_name="nnUNetUltraLBMPlans")
    elsewhere = teach(f"{TEACHER}_20epochs", plans_name="nnUNetFinePlans")
    file = elsewhere.parents[1] / "plans.json"
    plans = json.loads(file.read_text())
    plans["configurations"]["2d"]["data_identifier"] = "nnUNetFinePlans_2d"
    file.write_text(json.dumps(plans))
    assert make().load_teacher() == other
    same = teach()
    assert make().load_teacher() == same


def test_a_missing_teacher_is_told_with_the_command_that_trains_it(make, teach, planned):
    teach(fold=1)
    trainer = make()
    with pytest.raises(FileNotFoundError) as error:
        trainer.on_train_start()
    text = str(error.value)
    assert str(planned.results / planned.dataset / f"{TEACHER}__nnUNetPlans__2d/fold_0/checkpoint_final.pth") in text
    assert f"nnUNetv2_train {planned.dataset} 2d 0 -tr {TEACHER} -p nnUNetPlans" in text
    assert f"export {TEACHER_VARIABLE}=" in text


def test_a_teacher_of_the_students_own_seed_comes_before_all_others(make, teach):
    other_plans = teach(f"{TEACHER}_seed1", plans_name="nnUNetUltraLBMPlans")
    teach(f"{TEACHER}_seed2")
    unseeded = teach(f"{TEACHER}_3epochs")
    assert make(f"{STUDENT}_seed1").load_teacher() == other_plans
    assert make().load_teacher() == unseeded
    same = teach(f"{TEACHER}_3epochs_seed1")
    assert make(f"{STUDENT}_seed1").load_teacher() == same
    with pytest.raises(ValueError, match=r"3 trainings can be the teacher of .*_seed4"):
        make(f"{STUDENT}_seed4").load_teacher()


def test_all_seeds_learn_from_a_teacher_without_one_where_there_is_no_other(make, teach):
    teacher = teach()
    assert make(f"{STUDENT}_seed1").load_teacher() == make(f"{STUDENT}_seed2").load_teacher() == teacher


def test_a_missing_teacher_of_a_seed_is_asked_for_with_that_seed(make, planned):
    with pytest.raises(FileNotFoundError, match=f"nnUNetv2_train {planned.dataset} 2d 0 -tr {TEACHER}_seed0 -p"):
        make(f"{STUDENT}_seed0").on_train_start()


def test_of_several_teachers_one_must_be_chosen(make, teach, monkeypatch):
    checkpoints = [teach(), teach(f"{TEACHER}_20epochs")]
    with pytest.raises(ValueError, match="2 trainings can be the teacher") as error:
        make().load_teacher()
    for checkpoint in checkpoints:
        assert f"export {TEACHER_VARIABLE}={checkpoint.parent.parent}\n" in f"{error.value}\n"
    monkeypatch.setenv(TEACHER_VARIABLE, str(checkpoints[1].parent))
    assert make().load_teacher() == checkpoints[1]


def test_of_a_named_folder_of_folds_the_students_own_teaches(make, teach, monkeypatch):
    checkpoints = [teach(fold=fold) for fold in range(2)]
    teach(f"{TEACHER}_20epochs")
    monkeypatch.setenv(TEACHER_VARIABLE, str(checkpoints[0].parent.parent))
    assert [make(fold=fold).load_teacher() for fold in range(2)] == checkpoints
    with pytest.raises(FileNotFoundError, match=r"nor .*fold_2/checkpoint_final\.pth"):
        make(fold=2).load_teacher()


@pytest.mark.parametrize("name", ["nnUNetTrainerUltraLightVM", "nnUNetTrainer"])
def test_a_named_file_of_any_trainer_teaches_with_one_output(make, teach, monkeypatch, tmp_path, name):
    monkeypatch.setenv(TEACHER_VARIABLE, str(shutil.copy(teach(name), tmp_path / "teacher.pth")))
    trainer = make()
    trainer.load_teacher()
    assert trainer.teacher(torch.zeros(1, 3, 64, 64)).shape == (1, 2, 64, 64)
    assert np.isfinite(trainer.train_step(_batch(trainer))["loss"])


def test_a_named_teacher_of_another_fold_is_told(make, teach, monkeypatch, capsys):
    monkeypatch.setenv(TEACHER_VARIABLE, str(teach(fold=1)))
    make().load_teacher()
    assert "The teacher is of fold 1" in capsys.readouterr().out
    make(fold=1).load_teacher()
    assert "The teacher is of fold" not in capsys.readouterr().out


def test_a_name_that_leads_nowhere_is_told(make, monkeypatch, tmp_path):
    for path in (tmp_path, tmp_path / "nothing.pth"):
        monkeypatch.setenv(TEACHER_VARIABLE, str(path))
        with pytest.raises(FileNotFoundError, match=rf"{TEACHER_VARIABLE} names {path}.*checkpoint_final\.pth"):
            make().load_teacher()


def test_a_path_that_no_shell_expanded_names_no_teacher(make, monkeypatch):
    for value in ("~/teacher.pth", "$HOME/teacher.pth", "'/teacher.pth'", "/teacher.pth "):
        monkeypatch.setenv(TEACHER_VARIABLE, value)
        with pytest.raises(ValueError, match=rf"{TEACHER_VARIABLE}=.*Give the full path"):
            make().load_teacher()


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"labels": THREE_LABELS}, r"labels \{.*'ring': 2\} instead of \{'background': 0, 'disc': 1\}"),
        ({"labels": REGIONS}, r"labels \{.*'regions_class_order': \[1, 2\]\} instead of"),
        ({"channels": 1}, r"input channels 1 instead of 3"),
        ({"patch_size": (8, 32, 32)}, r"patch axes 3 instead of 2"),
        ({"labels": THREE_LABELS, "channels": 4}, r"labels .* and input channels 4 instead of 3"),
    ],
)
def test_a_teacher_of_other_data_is_refused(make, teach, changes, difference):
    checkpoint = teach(**changes)
    with pytest.raises(ValueError, match=difference) as error:
        make().load_teacher()
    assert str(checkpoint) in str(error.value)


def test_a_label_that_is_ignored_makes_no_difference(make, teach):
    teach()
    trainer = make(labels={"labels": {"background": 0, "disc": 1, "ignore": 2}})
    trainer.load_teacher()
    assert np.isfinite(trainer.train_step(_batch(trainer))["loss"])


def test_a_file_that_is_no_whole_checkpoint_is_refused(make, teach, monkeypatch, tmp_path):
    whole = teach()
    (tmp_path / "cut.pth").write_bytes(whole.read_bytes()[:5000])
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "empty.pth").touch()
    torch.save({"network_weights": {}}, tmp_path / "weights.pth")
    refusals = {"cut": "cannot be read", "text": "cannot be read", "empty": "cannot be read", "weights": "is not a"}
    for name, refusal in refusals.items():
        monkeypatch.setenv(TEACHER_VARIABLE, str(tmp_path / f"{name}.pth"))
        with pytest.raises(ValueError, match=rf"{name}\.pth {refusal}"):
            make().load_teacher()


def _run(trainer, epochs):
    """Train up to this number of epochs and leave only what a killed run leaves."""
    trainer.num_epochs = epochs
    trainer.run_training()
    return Path(trainer.output_folder)


def test_resumes_with_its_teacher_and_settings(make, teach, monkeypatch):
    checkpoint = teach()
    folder = _run(make(), 1)
    record = json.loads((folder / "distillation.json").read_text())
    assert record == {"teacher": str(checkpoint), "settings": vars(DistillationSettings())}
    log = next(folder.glob("training_log*")).read_text()
    assert f"{checkpoint} with {SETTINGS_VARIABLE}={DistillationSettings().as_text()}" in log

    monkeypatch.setenv(SETTINGS_VARIABLE, "soft=2")
    resumed = make()
    resumed.load_checkpoint(str(folder / "checkpoint_final.pth"))
    with pytest.raises(ValueError, match=rf"began with {SETTINGS_VARIABLE}=hard=1,soft=1.*continue with hard=1,soft=2"):
        _run(resumed, 2)

    monkeypatch.delenv(SETTINGS_VARIABLE)
    resumed = make()
    resumed.load_checkpoint(str(folder / "checkpoint_final.pth"))
    _run(resumed, 2)
    assert torch.load(folder / "checkpoint_final.pth", weights_only=False)["current_epoch"] == 2

    checkpoint.unlink()
    resumed = make()
    # Validation alone goes as far as this without a teacher.
    resumed.load_checkpoint(str(folder / "checkpoint_final.pth"))
    with pytest.raises(FileNotFoundError, match="needs a trained teacher"):
        _run(resumed, 3)


def changed(path, **entries):
    """Save a checkpoint with other entries."""
    torch.save({**torch.load(path, weights_only=False), **entries}, path)


class Command:
    """Runs a command of the shell when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_code_in_a_teacher_is_not_run(make, teach, tmp_path):
    changed(teach(), extra=Command(tmp_path / "ran"))
    with pytest.raises(CodeInCheckpointError, match=r"checkpoint_final\.pth asks for (posix|nt)\.system"):
        make().load_teacher()
    assert not (tmp_path / "ran").exists()


def test_plans_in_a_teacher_may_name_nothing_but_layers(make, teach, monkeypatch, tmp_path):
    hub = tmp_path / "hub"
    hub.mkdir()
    (hub / "hubconf.py").write_text("def run(**rest):\n    open(__file__ + '.ran', 'w')\n")
    path = teach("nnUNetTrainer")
    monkeypatch.setenv(TEACHER_VARIABLE, str(path))
    origin = torch.load(path, weights_only=False)["init_args"]
    layers = {**origin["plans"]["configurations"]["2d"]["architecture"]["arch_kwargs"]}
    arguments = {"repo_or_dir": str(hub), "model": "run", "source": "local"}
    for architecture in (
        {"network_class_name": "torch.hub.load", "arch_kwargs": arguments, "_kw_requires_import": []},
        {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {**layers, "nonlin": "torch.hub.load", "nonlin_kwargs": arguments},
            "_kw_requires_import": ["conv_op", "norm_op", "nonlin"],
        },
    ):
        origin["plans"]["configurations"]["2d"]["architecture"] = architecture
        changed(path, init_args=origin)
        with pytest.raises(CodeInCheckpointError, match=r"plans that build their network with 'torch\.hub\.load'"):
            make().load_teacher()
        assert [file.name for file in hub.iterdir()] == ["hubconf.py"]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"init_args": {}}, "its init_args have no plans and no configuration and no dataset_json and no fold"),
        ({"init_args": {"plans": {}, "configuration": "2d", "dataset_json": {}, "fold": 0}}, "are not complete"),
        ({"trainer_name": 3}, "its trainer_name is no name"),
        ({"trainer_name": "nnUNetTrainerOfNobody"}, "trained by 'nnUNetTrainerOfNobody', and nnU-Net finds no trainer"),
        (
            {"network_weights": {"weight": torch.zeros(2)}},
            "weights that are not those of the network that nnUNetTrainerUltraLBM",
        ),
        ({"network_weights": {"weight": torch.tensor(float("nan"))}}, "not finite"),
    ],
)
def test_a_teacher_without_what_it_needs_is_refused_in_a_sentence(make, teach, entries, words):
    changed(teach(), **entries)
    with pytest.raises(ValueError, match=rf"The teacher .*{words}"):
        make().load_teacher()


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_a_teacher_saved_out_of_its_wrapper_teaches(make, teach, prefix):
    path = teach()
    weights = torch.load(path, weights_only=False)["network_weights"]
    changed(path, network_weights={f"{prefix}{name}": value for name, value in weights.items()})
    trainer = make()
    trainer.load_teacher()
    assert _unequal(trainer.teacher.state_dict(), weights) == []


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"settings": 3}', '{"settings": {"soft": NaN}}', '{"settings": {"soft": null}}']
)
def test_a_record_that_does_not_tell_the_settings_is_told(make, teach, content):
    teach()
    trainer = make()
    trainer.current_epoch = 1
    record = Path(trainer.output_folder) / "distillation.json"
    record.write_text(content)
    with pytest.raises(ValueError, match=rf"{record} does not tell the settings .*Delete it to go on with hard=1"):
        trainer.load_teacher()


@pytest.mark.parametrize("name", ["hidden_module.Network", "hidden_module", "this.s", "os.system", "eval", 5])
def test_a_teacher_whose_plans_name_other_code_is_refused_before_that_is_imported(
    make, teach, tmp_path, monkeypatch, name
):
    ran = tmp_path / "ran"
    (tmp_path / "hidden_module.py").write_text(f"from torch.nn import Module as Network\nopen({str(ran)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = teach("nnUNetTrainer")
    stored = torch.load(path, weights_only=False)
    stored["init_args"]["plans"]["configurations"]["2d"]["architecture"]["network_class_name"] = name
    torch.save(stored, path)
    monkeypatch.setenv(TEACHER_VARIABLE, str(path))
    with pytest.raises(CodeInCheckpointError, match=f"{name!r}, which is no layer"):
        make().load_teacher()
    assert not ran.exists()
    assert "this" not in sys.modules
