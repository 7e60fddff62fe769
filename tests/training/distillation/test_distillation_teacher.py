import json
import os
import shutil
import sys

import numpy as np
import pytest
import torch
from distillation_cases import REGIONS, STUDENT, TEACHER, THREE_LABELS, batch_for, unequal

from nnunet_mamba.models import shipped_models
from nnunet_mamba.models.nnunet.checkpoint_reading import CodeInCheckpointError
from nnunet_mamba.models.packing import pack_model
from nnunet_mamba.training.distillation.teacher import TEACHER_VARIABLE


@pytest.mark.parametrize("name", [TEACHER, f"{TEACHER}_20epochs", f"{TEACHER}_2epochs_3iterations"])
def test_takes_the_finished_training_of_the_same_fold(make, teach, name):
    checkpoint = teach(name)
    teach(TEACHER, fold=1)
    for other in ("nnUNetTrainerUltraLBMT", "nnUNetTrainerUltraLBMNoMamba_20epochs", f"{TEACHER}_kernels333_20epochs"):
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


def test_of_several_teachers_the_one_with_the_recipe_and_budget_in_the_students_name_teaches(make, teach):
    names = [f"{TEACHER}{suffix}" for suffix in ("", "_paper", "_20epochs", "_paper_20epochs")]
    checkpoints = {name: teach(name) for name in names}
    for suffix in ("_paper", "_20epochs", "_paper_20epochs"):
        assert make(f"nnUNetTrainerUltraLBMTDistill{suffix}").load_teacher() == checkpoints[f"{TEACHER}{suffix}"]
    # Those of 20 epochs are too short for it.
    with pytest.raises(ValueError, match="2 trainings can be the teacher"):
        make("nnUNetTrainerUltraLBMTDistill_30epochs").load_teacher()


@pytest.mark.parametrize("suffix", ["", "_paper", "_30epochs", "_paper_2epochs", "_seed1"])
def test_a_trial_does_not_teach_a_longer_training_unnoticed(make, teach, suffix):
    student = f"nnUNetTrainerUltraLBMTDistill{suffix}"
    trial = teach(f"{TEACHER}_1epochs{'_seed1' if suffix == '_seed1' else ''}")
    with pytest.raises(ValueError, match=f"Train {TEACHER}{suffix} first, or choose one of them") as error:
        make(student).load_teacher()
    assert f"export {TEACHER_VARIABLE}={trial.parent.parent}" in str(error.value)
    whole = teach(f"{TEACHER}{suffix}")
    assert make(student).load_teacher() == whole


def test_of_a_named_folder_of_folds_the_students_own_teaches(make, teach, monkeypatch):
    checkpoints = [teach(fold=fold) for fold in range(2)]
    teach(f"{TEACHER}_20epochs")
    monkeypatch.setenv(TEACHER_VARIABLE, str(checkpoints[0].parent.parent))
    assert [make(fold=fold).load_teacher() for fold in range(2)] == checkpoints
    with pytest.raises(FileNotFoundError, match=r"nor .*fold_2/checkpoint_final\.pth"):
        make(fold=2).load_teacher()


@pytest.mark.parametrize("name", ["nnUNetTrainerUltraLightVM", f"{TEACHER}_forwardMamba", "nnUNetTrainer"])
def test_a_named_file_of_any_trainer_teaches_with_one_output(make, teach, monkeypatch, tmp_path, name):
    monkeypatch.setenv(TEACHER_VARIABLE, str(shutil.copy(teach(name), tmp_path / "teacher.pth")))
    trainer = make()
    trainer.load_teacher()
    assert trainer.teacher(torch.zeros(1, 3, 64, 64)).shape == (1, 2, 64, 64)
    assert np.isfinite(trainer.train_step(batch_for(trainer))["loss"])


def test_a_named_teacher_of_another_fold_is_told(make, teach, monkeypatch, capsys):
    monkeypatch.setenv(TEACHER_VARIABLE, str(teach(fold=1)))
    make().load_teacher()
    assert "The teacher is of fold 1" in capsys.readouterr().out
    make(fold=1).load_teacher()
    assert "The teacher is of fold" not in capsys.readouterr().out


@pytest.mark.parametrize("labels", [None, REGIONS], ids=["labels", "regions"])
def test_a_model_file_teaches_as_the_training_that_it_was_packed_from(make, teach, monkeypatch, tmp_path, labels):
    checkpoint = teach(fold=1, labels=labels)
    packed = pack_model(checkpoint.parent.parent, tmp_path / "teacher.zip")
    logits = []
    for named in (checkpoint, packed):
        monkeypatch.setenv(TEACHER_VARIABLE, str(named))
        trainer = make(labels=labels)
        assert trainer.load_teacher() == named
        assert not any(parameter.requires_grad for parameter in trainer.teacher.parameters())
        logits.append(trainer.teacher(torch.ones(1, 3, 64, 64)))
    assert torch.equal(*logits)
    assert np.isfinite(trainer.train_step(batch_for(trainer))["loss"])


def test_a_model_file_of_other_data_is_refused_and_one_of_another_fold_is_told(
    make, teach, monkeypatch, tmp_path, capsys
):
    packed = pack_model(teach(fold=1, labels=THREE_LABELS).parent.parent, tmp_path / "teacher")
    monkeypatch.setenv(TEACHER_VARIABLE, str(packed))
    with pytest.raises(ValueError, match=r"labels \{.*'ring': 2\} instead of"):
        make().load_teacher()
    make(labels=THREE_LABELS).load_teacher()
    assert "The teacher is of fold 1" in capsys.readouterr().out


def test_a_model_that_comes_along_teaches_by_its_name(make, teach, monkeypatch, tmp_path):
    pack_model(teach().parent.parent, tmp_path / "shipped/tiny-discs")
    monkeypatch.setattr(shipped_models, "shipped_folder", lambda: tmp_path / "shipped")
    monkeypatch.setenv(TEACHER_VARIABLE, "tiny-discs")
    assert make().load_teacher() == tmp_path / "shipped/tiny-discs"


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
    assert np.isfinite(trainer.train_step(batch_for(trainer))["loss"])


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
    assert unequal(trainer.teacher.state_dict(), weights) == []


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
