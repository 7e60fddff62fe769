import hashlib
import json
import math
import re
import shlex

import pytest
import typer
from typer.testing import CliRunner

from nnunet_mamba.cli.plan import plan
from nnunet_mamba.planning import trainer_plans
from nnunet_mamba.planning.memory import GIB, Budget
from nnunet_mamba.planning.step_process import TrainingStepError
from nnunet_mamba.planning.training_step import StepMemory
from nnunet_mamba.system import progress
from nnunet_mamba.training.plans_names import large_batch_notice

app = typer.Typer()
app.command()(plan)

NAME, OTHER = "nnUNetTrainerUltraLightVM", "nnUNetTrainerVMUNet"
PLANS = "nnUNetUltraLightVMPlans"


CONFIGURATION = {
    "data_identifier": "nnUNetPlans_2d",
    "batch_size": 12,
    "patch_size": [56, 64],
    "median_image_size_in_voxels": [52.0, 60.0],
    "spacing": [1.0, 1.0],
    "architecture": {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 4,
            "features_per_stage": [32, 64, 128, 256],
            "kernel_sizes": [[3, 3]] * 4,
            "strides": [[1, 1], [2, 2], [2, 2], [2, 2]],
            "n_conv_per_stage": [2] * 4,
            "n_conv_per_stage_decoder": [2] * 3,
        },
        "_kw_requires_import": [],
    },
}


@pytest.fixture
def folder(nnunet_folders):
    """The folder of a data set of small photographs that nnU-Net might have planned."""
    folder = nnunet_folders.preprocessed
    (folder / "nnUNetPlans_2d").mkdir(parents=True)
    (folder / "nnUNetPlans_2d/case.b2nd").touch()
    plans = {"dataset_name": folder.name, "plans_name": "nnUNetPlans", "configurations": {"2d": CONFIGURATION}}
    labels = {"labels": {"background": 0, "disc": 1}, "file_ending": ".png"}
    dataset = {"channel_names": {"0": "R"}, "numTraining": 10, **labels}
    (folder / "nnUNetPlans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    return folder


@pytest.fixture
def run(folder, nnunet_folders, monkeypatch):
    """Run the command with a made-up training step of 1 KiB for each pixel."""

    def step(request, _):
        if "NoMamba" in request.trainer:
            raise TrainingStepError("made up")
        made = request.plans["configurations"][request.configuration]
        return StepMemory(peak=1024 * math.prod(made["patch_size"]) * made["batch_size"], before=0)

    monkeypatch.setattr(trainer_plans, "measure_step", step)
    for variable, value in nnunet_folders.environment().items():
        monkeypatch.setenv(variable, value)
    return lambda *options: CliRunner().invoke(app, ["901", "--device", "cpu", *options])


def _contents(folder):
    return {
        file.relative_to(folder): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_writes_plans_and_says_how_to_train_with_them(run, folder):
    before = _contents(folder)
    result = run("--trainers", NAME, "--memory", "0.5", "--batch-size", "3")
    assert result.exit_code == 0, result.output
    file = folder / f"{PLANS}.json"
    assert f"nnUNetv2_train 901 2d 0 -tr {NAME} -p {PLANS} -device cpu" in result.output
    assert str(file) in result.output
    assert "by hand" in result.output
    plans = json.loads(file.read_text())
    assert plans["plans_name"] == PLANS
    assert plans["configurations"]["2d"]["batch_size"] == 3
    assert plans["nnunet_mamba"]["configurations"]["2d"]["memory_measured"] > 0
    after = _contents(folder)
    assert set(after) - set(before) == {file.relative_to(folder)}
    assert all(after[name] == digest for name, digest in before.items())


@pytest.mark.parametrize(
    "options",
    [
        ("--trainers", f"{NAME},{OTHER}"),
        ("--trainers", f" {NAME}, {OTHER},"),
        ("--trainer", NAME, "--trainer", OTHER),
    ],
)
def test_trainers_may_be_named_in_several_ways(run, folder, options):
    result = run("--memory", "0.5", *options)
    assert result.exit_code == 0, result.output
    written = sorted(file.name for file in folder.glob("nnUNet*Plans.json"))
    assert written == ["nnUNetPlans.json", f"{PLANS}.json", "nnUNetVMUNetPlans.json"]
    assert result.stdout.index(PLANS) < result.stdout.index("nnUNetVMUNetPlans")


def test_a_dry_run_writes_nothing(run, folder):
    before = _contents(folder.parent.parent)
    result = run("--trainers", NAME, "--memory", "0.5", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "a dry run: nothing is written" in result.output
    assert "5 % rule" in result.output
    assert _contents(folder.parent.parent) == before


def test_without_trainers_all_are_planned_and_one_that_fails_does_not_stop_the_others(run, folder):
    from optional_networks import installed_trainers

    result = run("--memory", "0.5")
    assert result.exit_code == 1
    assert "Error: nnUNetTrainerVMUNetNoMamba: made up" in result.output
    written = {file.stem for file in folder.glob("nnUNet*Plans.json")} - {"nnUNetPlans"}
    good = [name for name in installed_trainers() if "NoMamba" not in name]
    assert written == {f"nnUNet{name.removeprefix('nnUNetTrainer')}Plans" for name in good}


def test_what_other_programs_hold_of_the_gpu_is_said(run, monkeypatch):
    budget = Budget(device="cuda", size=15 * GIB, held_by_others=8 * GIB)
    monkeypatch.setattr("nnunet_mamba.planning.memory.resolve_budget", lambda *_: budget)
    result = run("--trainers", NAME, "--dry-run")
    assert "on the cuda, 15.00 GiB for a training (8.00 GiB are held by other programs)\n" in result.stdout


def test_plans_of_others_are_kept_before_anything_is_measured(run, folder):
    (folder / f"{PLANS}.json").write_text("{}")
    result = run("--trainers", NAME, "--memory", "0.5")
    assert result.exit_code == 1
    assert "was not written by nnunet-mamba plan; move it away, or replace it with --overwrite" in result.output
    assert run("--trainers", NAME, "--memory", "0.5", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--patch-size", "big"), "--patch-size 'big': expected two or three positive numbers"),
        (("--base", "nnUNetResEncUNetMPlans"), "-pl nnUNetPlannerResEncM"),
        (("--configuration", "3d_fullres", "--trainers", NAME), "--configuration 3d_fullres: nnUNetPlans can be"),
        (("--configuration", "3d_fullres"), "--configuration 3d_fullres: nnUNetPlans can be planned anew for 2d"),
        (("--patch-size", "8x8x8"), "--patch-size 8×8×8 has 3 axes, and 2d has 2: nothing to plan; give 2 numbers"),
        (("--patch-size", "8x8x8", "--configuration", "2d"), "--patch-size 8×8×8 has 3 axes"),
        (("--patch-size", "0x8"), "--patch-size '0x8': expected two or three positive numbers"),
        (("--patch-size", "-8x8"), "expected two or three positive numbers"),
        (("--patch-size", "8"), "expected two or three positive numbers"),
        (("--patch-size", ""), "expected two or three positive numbers"),
        (("--memory", "inf"), "--memory inf: expected a positive number of GiB"),
        (("--memory", "-1"), "--memory -1: expected a positive number of GiB"),
        (("--memory", "1e30"), "no machine has so many GiB"),
        (("--device", "mps"), "--device mps: expected cpu or cuda"),
        (("--trainers", ""), "--trainers '' names nothing"),
        (("--trainers", f"{NAME},{NAME}"), f"--trainers names {NAME} more than once"),
        (("--trainers", "nnUNetTrainerX"), "--trainers nnUNetTrainerX: unknown; choose one of"),
    ],
)
def test_bad_options_are_explained(run, options, text):
    result = run("--memory", "0.5", *options)
    assert result.exit_code == 1
    assert text in result.output


@pytest.mark.parametrize("text", ["48x64", "48 64", "48,64"])
def test_a_patch_size_may_be_written_in_several_ways(run, folder, text):
    assert run("--memory", "0.5", "--trainers", NAME, "--patch-size", text).exit_code == 0
    plans = json.loads((folder / f"{PLANS}.json").read_text())
    assert plans["configurations"]["2d"]["patch_size"] == [48, 64]


def test_a_patch_that_costs_more_than_it_shows_is_kept_with_a_warning(run):
    result = run("--memory", "0.5", "--trainers", NAME, "--patch-size", "64x70", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "a patch of 64×70 is larger than the median image, 52×60: the rest is padding" in result.output
    assert "the network pads a patch of 64×70 to 64×96, which costs as much; take that" in result.output
    result = run("--memory", "0.5", "--trainers", NAME, "--patch-size", "32x32", "--dry-run")
    assert "Warning" not in result.output


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda plans: plans["configurations"]["2d"].update(batch_size=float("nan")), "batch_size nan"),
        (lambda plans: plans["configurations"]["2d"].update(patch_size=[]), r"patch_size []"),
        (lambda plans: plans["configurations"]["2d"].pop("spacing"), "2d has no spacing"),
        (lambda plans: plans.pop("configurations"), "there are no configurations"),
        (lambda plans: plans.update(plans_name="other"), '"plans_name": "other", expected "nnUNetPlans"'),
    ],
)
def test_plans_without_sense_are_told(run, folder, change, words):
    file = folder / "nnUNetPlans.json"
    plans = json.loads(file.read_text())
    change(plans)
    file.write_text(json.dumps(plans))
    result = run("--memory", "0.5", "--trainers", NAME)
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(file) in result.stderr
    assert words in result.stderr


@pytest.mark.parametrize("name", ["nnUNetPlans", "dataset"])
@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1', "{}".encode("utf-16"), "{}".encode("utf-8-sig"), b"{}"])
def test_files_that_are_none_are_told(run, folder, name, content):
    file = folder / f"{name}.json"
    file.write_bytes(content)
    result = run("--memory", "0.5", "--trainers", NAME)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {file}")


@pytest.mark.parametrize("base", ["nnUNetPlans", "nnUNetResEncUNetMPlans"])
@pytest.mark.parametrize(("trainer", "largest"), [(f"{NAME}_20epochs", 8), (OTHER, 32)])
def test_the_command_that_a_training_with_a_large_batch_names_can_be_pasted(run, folder, trainer, largest, base):
    plans = json.loads((folder / "nnUNetPlans.json").read_text())
    plans["plans_name"] = base
    plans["configurations"]["2d"]["batch_size"] = 49
    (folder / f"{base}.json").write_text(json.dumps(plans))
    dataset = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**dataset, "numTraining": 2000}))
    notice = large_batch_notice(trainer, plans, "2d", batch_size=49, largest=largest)
    command, name = re.fullmatch(r".* Make plans that fit: (.*); then train with -p (\S+)", notice).groups()
    program, verb, number, *options = shlex.split(command)
    assert (program, verb, number) == ("nnunet-mamba", "plan", "901")

    result = run("--memory", "4", *options)

    assert result.exit_code == 0, result.output
    made = json.loads((folder / f"{name}.json").read_text())
    assert made["configurations"]["2d"]["batch_size"] == largest
    assert large_batch_notice(trainer, made, "2d", batch_size=largest, largest=largest) is None


def test_without_a_terminal_a_long_measurement_is_told_now_and_then(run, monkeypatch):
    assert "measuring" not in run("--trainers", NAME, "--memory", "0.5", "--dry-run").stderr
    monkeypatch.setattr(progress, "FIRST_PAUSE", 0)
    quiet = run("--trainers", NAME, "--memory", "0.5", "--dry-run", "--no-progress")
    assert "measuring" not in quiet.stderr
    told = run("--trainers", NAME, "--memory", "0.5", "--dry-run").stderr
    assert told.startswith(f"measuring {NAME} 2d: ")
    assert told.count("measuring") == 1


@pytest.mark.slow
def test_a_training_with_the_plans_uses_the_preprocessed_data_as_they_are(planned, tmp_path):
    data = planned.preprocessed / "nnUNetPlans_2d"
    before = _contents(data)
    trainer = f"{NAME}_1epoch_1iteration"
    planning = planned.run("nnunet-mamba", "plan", "901", "--trainers", trainer, "--memory", "4", "--device", "cpu")
    assert planning.returncode == 0, planning.stdout + planning.stderr

    trained = planned.run("nnUNetv2_train", "901", "2d", "0", "-tr", trainer, "-p", PLANS, "-device", "cpu")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    results = planned.results / planned.dataset / f"{trainer}__{PLANS}__2d"
    assert (results / "fold_0/validation/summary.json").is_file()
    predicted = planned.run(
        *("nnUNetv2_predict", "-i", str(planned.root / "nnUNet_raw" / planned.dataset / "imagesTr"), "-d", "901"),
        *("-o", str(tmp_path / "masks"), "-c", "2d", "-f", "0", "-tr", trainer, "-p", PLANS),
        *("-device", "cpu", "-npp", "1", "-nps", "1"),
    )
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    assert len(list((tmp_path / "masks").glob("*.png"))) == 10
    assert _contents(data) == before


def test_an_interrupted_plan_is_not_said_to_continue(run, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer_plans, "measure_step", interrupt)
    result = run("--memory", "0.5", "--trainers", NAME)
    assert (result.exit_code, result.stderr) == (130, "Stopped.\n")
