import json
import shutil

import pytest

from nnunet_mamba.crossval import nnunet_side
from nnunet_mamba.crossval.nnunet_side import Preparation, prepare

STOCK = "nnUNetTrainer_5epochs"
OURS = "nnUNetTrainerUltraLightVM_1epoch_2iterations"


@pytest.fixture
def _in_this_process(monkeypatch):
    """Answer here, where torch is imported already; what a process prints would pass through JSON too."""

    def answer(dataset, identifier, trainers):
        return json.loads(json.dumps(nnunet_side._answer(dataset, identifier, trainers)))

    monkeypatch.setattr(nnunet_side, "_ask_process", answer)


@pytest.fixture
def dataset_of_a_user(planned, monkeypatch):
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(planned.root / name))
    return planned.preprocessed


@pytest.fixture
def dataset(dataset_of_a_user, _in_this_process):
    return dataset_of_a_user


def test_trainers_are_found_and_five_folds_are_made(dataset_of_a_user):
    found = prepare(dataset_of_a_user, "2d", plans=["nnUNetPlans"], trainers=[STOCK, OURS])
    assert isinstance(found, Preparation)
    assert found.n_folds == 5
    splits = json.loads((dataset_of_a_user / "splits_final.json").read_text())
    assert sorted(case for fold in splits for case in fold["val"]) == [f"disc_{number:02d}" for number in range(10)]


def test_a_process_that_cannot_answer_tells_its_last_words(tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'it is broken' >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(nnunet_side.sys, "executable", str(program))
    with pytest.raises(ChildProcessError, match=r"for its trainers: it is broken\. Try: nnunet-mamba doctor"):
        nnunet_side._ask_process(tmp_path, "nnUNetPlans_2d", [])


def test_who_learns_from_whom_is_told_unless_the_teacher_is_named(dataset, monkeypatch):
    student = "nnUNetTrainerUltraLBMTDistill_2epochs"
    teachers = ["nnUNetTrainerUltraLBM", "nnUNetTrainerUltraLBM_paper_3epochs"]
    trainers = [student, *teachers, "nnUNetTrainerUltraLBMT", "nnUNetTrainerUltraLBMNoMamba_2epochs", STOCK]
    trainers += ["nnUNetTrainerUltraLBM_allGlobal"]
    found = prepare(dataset, "2d", plans=["nnUNetPlans"], trainers=trainers)
    assert found.teachers == {student: teachers}
    repeats = [f"{name}_seed{seed}" for seed in (1, 2) for name in ("nnUNetTrainerUltraLBM", student)]
    found = prepare(dataset, "2d", plans=["nnUNetPlans"], trainers=[*trainers, *repeats])
    of_seeds = {f"{student}_seed{seed}": [f"nnUNetTrainerUltraLBM_seed{seed}"] for seed in (1, 2)}
    assert found.teachers == {student: teachers, **of_seeds}
    found = prepare(dataset, "2d", plans=["nnUNetPlans"], trainers=[*trainers, f"{student}_seed7"])
    assert found.teachers == {student: teachers, f"{student}_seed7": teachers}
    monkeypatch.setenv("NNUNET_MAMBA_TEACHER", f"/results/{dataset.name}/T__nnUNetPlans__2d/fold_0/checkpoint_best.pth")
    found = prepare(dataset, "2d", plans=["nnUNetPlans"], trainers=trainers)
    assert (found.teachers, found.teacher_fold) == ({}, "0")


def test_settings_that_contradict_a_name_are_told_before_a_training_begins(dataset, monkeypatch):
    monkeypatch.setenv("NNUNET_MAMBA_DISTILLATION", "gradient=2")
    names = [f"nnUNetTrainerUltraLBMTDistill{suffix}" for suffix in ("", "_dkl", "_dklAtt_2epochs", "_dklGrad")]
    with pytest.raises(ValueError, match=f"{names[1]} and {names[2]}: NNUNET_MAMBA_DISTILLATION='gradient=2': gradi"):
        prepare(dataset, "2d", plans=["nnUNetPlans"], trainers=["nnUNetTrainerUltraLBM", *names])


def test_all_problems_are_told_together(dataset):
    for case in list((dataset / "nnUNetPlans_2d").glob("disc_0[0-5]*")):
        case.unlink()
    trainers = [STOCK, "nnUNetTrainerTypo", f"{OURS}_x"]
    with pytest.raises(ValueError, match="nnU-Net finds no trainer 'nnUNetTrainerTypo'") as error:
        prepare(dataset, "2d", plans=["nnUNetPlans"], trainers=trainers)
    text = str(error.value)
    assert f"There is no trainer '{OURS}_x'" in text
    assert "splits_final.json: there are 4 training cases, and nnU-Net's five folds need five" in text
    assert STOCK not in text
    assert not (dataset / "splits_final.json").exists()


def test_splits_beside_the_raw_data_are_taken_over(dataset, planned):
    fold = {"train": ["disc_00"], "val": ["disc_01"]}
    (planned.root / "nnUNet_raw" / planned.dataset / "splits_final.json").write_text(json.dumps([fold, fold]))
    assert prepare(dataset, "2d", plans=["nnUNetPlans"], trainers=[STOCK]).n_folds == 2
    assert json.loads((dataset / "splits_final.json").read_text()) == [fold, fold]


@pytest.mark.parametrize("key", ["plans_name", "dataset_name"])
def test_a_copy_of_plans_that_kept_the_old_name_is_refused(dataset, key):
    content = json.loads((dataset / "nnUNetPlans.json").read_text())
    (dataset / "mine.json").write_text(json.dumps({**content, "plans_name": "mine", key: "old"}))
    with pytest.raises(ValueError, match=rf'mine\.json has "{key}": "old", expected "(mine|{dataset.name})"'):
        prepare(dataset, "2d", plans=["nnUNetPlans", "mine"], trainers=[STOCK])


def test_missing_plans_configurations_and_data_are_told_with_the_way_out(dataset):
    with pytest.raises(ValueError, match="has no plans 'otherPlans'; there are nnUNetPlans, choose with `plans`"):
        prepare(dataset, "2d", plans=["nnUNetPlans", "otherPlans"], trainers=[STOCK])
    with pytest.raises(ValueError, match="has no configuration '3d_fullres'; there are 2d"):
        prepare(dataset, "3d_fullres", plans=["nnUNetPlans"], trainers=[STOCK])
    shutil.rmtree(dataset / "nnUNetPlans_2d")
    with pytest.raises(ValueError, match="nnUNetv2_preprocess -d 901 -plans_name nnUNetPlans -c 2d"):
        prepare(dataset, "2d", plans=["nnUNetPlans"], trainers=[STOCK])


def test_larger_batches_than_the_recipes_are_told_for_our_trainers(dataset):
    content = json.loads((dataset / "nnUNetPlans.json").read_text())
    content["configurations"]["2d"]["batch_size"] = 49
    (dataset / "nnUNetPlans.json").write_text(json.dumps(content))
    found = prepare(dataset, "2d", plans=["nnUNetPlans"], trainers=[STOCK, OURS])
    assert list(found.notices) == [(OURS, "nnUNetPlans")]
    assert "batches of 49" in found.notices[OURS, "nnUNetPlans"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "an object, not a list of folds"),
        ('{"0": {"train": ["a"], "val": ["b"]}}', "an object, not a list of folds"),
        ('[{"train": ["a"], "val": []}]', "fold 0 has no list of cases under 'val'"),
        ("[", "is not JSON"),
    ],
)
def test_splits_that_are_none_are_told(dataset, content, words):
    file = dataset / "splits_final.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=words) as error:
        prepare(dataset, "2d", plans=["nnUNetPlans"], trainers=[STOCK])
    assert str(file) in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda plans: plans.pop("configurations"),
        lambda plans: plans["configurations"]["2d"].update(inherits_from="2d"),
        lambda plans: plans["configurations"]["2d"].pop("data_identifier"),
        lambda plans: plans["configurations"]["2d"].update(data_identifier=None),
        lambda plans: plans["configurations"]["2d"].update(batch_size=None),
        lambda plans: plans["configurations"].update({"2d": "none"}),
    ],
)
def test_plans_without_sense_are_told(dataset, change):
    file = dataset / "nnUNetPlans.json"
    plans = json.loads(file.read_text())
    change(plans)
    file.write_text(json.dumps(plans))
    with pytest.raises(ValueError, match=str(file)):
        prepare(dataset, "2d", plans=["nnUNetPlans"], trainers=[STOCK])


def test_a_teacher_that_no_shell_expanded_is_told(dataset, monkeypatch):
    monkeypatch.setenv("NNUNET_MAMBA_TEACHER", "~/teacher.pth")
    with pytest.raises(ValueError, match=r"NNUNET_MAMBA_TEACHER='~/teacher\.pth': '~' stands for"):
        prepare(dataset, "2d", plans=["nnUNetPlans"], trainers=["nnUNetTrainerUltraLBMTDistill"])
