import json

import pytest

from nnunet_mamba.crossval import cross_validation
from nnunet_mamba.crossval.cross_validation import Request, prepare_cross_validation
from nnunet_mamba.crossval.nnunet_side import Preparation


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Prepare trainers of a data set with two folds, on a machine with so many GPUs."""
    (tmp_path / "preprocessed/Dataset901_Tiny").mkdir(parents=True)
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / name))

    def run(*trainers, n_gpus=0, found=None, **asked):
        notices = {("A", "P"): "large", ("X", "P"): "of nobody"}
        found = found or Preparation(n_folds=2, n_gpus=n_gpus, notices=notices)
        monkeypatch.setattr(cross_validation, "prepare", lambda *_, **__: found)
        usual = {"dataset": "901", "configuration": "2d", "plans": ["P", "Q"], "folds": "all", "device": None}
        usual["repeats"] = None
        slurm = {"npz": False, "executor": "local", "n_slurm_gpus": 1}
        return prepare_cross_validation(Request(trainers=trainers, **{**usual, **slurm, **asked}))

    return run


def test_every_trainer_has_a_run_for_all_plans_and_folds(prepare):
    prepared = prepare("A", "B")
    runs = [(status.run.trainer, status.run.plans, status.run.fold) for status in prepared.statuses]
    assert runs == [(trainer, plans, fold) for trainer in "AB" for plans in "PQ" for fold in (0, 1)]
    assert {status.run.dataset for status in prepared.statuses} == {"Dataset901_Tiny"}
    assert prepared.n_open == 8
    assert prepared.notices == ["large"]


def test_repeats_are_runs_of_their_own_and_nothing_is_told_of_each(prepare, monkeypatch):
    base = "nnUNetTrainerVMUNet"
    seeded = [f"{base}_seed{seed}" for seed in (1, 2)]
    notices = {(name, "P"): "large" for name in seeded}
    found = Preparation(n_folds=2, n_gpus=0, notices=notices)
    prepared = prepare(base, repeats=2, plans=["P"], found=found)
    runs = [(status.run.trainer, status.run.fold) for status in prepared.statuses]
    assert runs == [(name, fold) for name in seeded for fold in (0, 1)]
    assert prepared.notices == ["large"]
    monkeypatch.setenv("NNUNET_MAMBA_SEED", "1")
    with pytest.raises(ValueError, match=f"another seed than the name '{base}_seed2'"):
        prepare(base, repeats=2)


@pytest.mark.parametrize(
    ("executor", "asked", "n_gpus", "n_slurm_gpus", "device"),
    [
        ("local", None, 0, 1, "cpu"),
        ("local", None, 2, 0, "cuda"),
        ("local", "cpu", 2, 0, "cpu"),
        ("slurm", None, 0, 1, "cuda"),
        ("slurm", None, 2, 0, "cpu"),
        ("slurm", "cpu", 2, 1, "cpu"),
    ],
)
def test_trains_on_a_gpu_where_there_is_one(prepare, executor, asked, n_gpus, n_slurm_gpus, device):
    prepared = prepare("A", executor=executor, device=asked, n_gpus=n_gpus, n_slurm_gpus=n_slurm_gpus)
    assert prepared.options.device == device
    assert prepared.n_gpus == (0 if asked == "cpu" else n_gpus)


def test_jobs_get_nnunets_variables(prepare, tmp_path, monkeypatch):
    monkeypatch.setenv("NNUNET_MAMBA_SCAN", "reference")
    variables = prepare("A", executor="slurm").options.variables
    assert variables["NNUNET_MAMBA_SCAN"] == "reference"
    assert variables["nnUNet_results"] == str(tmp_path / "results")
    assert "PATH" not in variables
    assert prepare("A").options.variables == {}


def test_windows_is_told_what_it_can_run(prepare, monkeypatch):
    # pathlib looks at the same name, so nothing else may run meanwhile.
    monkeypatch.setattr(cross_validation.os, "name", "nt")
    with pytest.raises(ValueError, match="needs Linux or macOS; train the folds with nnUNetv2_train"):
        prepare_cross_validation(None)


def write_complete_fold(results, fold, cases):
    validation = results / "Dataset901_Tiny" / "A__P__2d" / f"fold_{fold}" / "validation"
    validation.mkdir(parents=True)
    (validation.parent / "checkpoint_final.pth").touch()
    entries = [{"prediction_file": f"/x/{case}.png"} for case in cases]
    content = {"foreground_mean": {"Dice": 0.5}, "metric_per_case": entries}
    (validation / "summary.json").write_text(json.dumps(content))


def test_folds_that_were_validated_by_another_split_are_refused(prepare, tmp_path):
    splits = [{"train": ["x"], "val": list(cases)} for cases in ("ab", "cd")]
    (tmp_path / "preprocessed/Dataset901_Tiny/splits_final.json").write_text(json.dumps(splits))
    write_complete_fold(tmp_path / "results", 0, "ba")
    assert prepare("A", plans=["P"]).n_open == 1
    write_complete_fold(tmp_path / "results", 1, "ce")
    with pytest.raises(ValueError, match=r"A__P__2d: fold 1 was validated by another split .* move the folder away"):
        prepare("A", plans=["P"])
