import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nnunet_mamba.bundled import trainers_folder
from nnunet_mamba.demo.pipeline import CONTENTS, Settings, demo_environment, demo_steps


def test_environment_holds_no_nnunet_setting_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("nnUNet_raw", "/home/user/raw")
    monkeypatch.setenv("nnUNet_extTrainer", "/home/user/trainers")
    monkeypatch.setenv("nnUNet_wandb_enabled", "1")
    monkeypatch.setenv("NNUNET_MAMBA_SCAN", "reference")
    environment = demo_environment(tmp_path)
    assert not [name for name, value in environment.items() if "/home/user" in value]
    assert "nnUNet_wandb_enabled" not in environment
    assert environment["nnUNet_raw"] == str(tmp_path / "nnUNet_raw")
    assert environment["nnUNet_extTrainer"] == trainers_folder()
    assert environment["NNUNET_MAMBA_SCAN"] == "reference"


def test_every_result_lies_in_a_part_of_the_folder_that_fresh_deletes(tmp_path):
    for step in demo_steps(tmp_path, Settings(), device="cpu"):
        for path in step.makes:
            assert path.relative_to(tmp_path).parts[0] in CONTENTS


def test_shown_commands_are_what_a_user_types(tmp_path):
    commands = [step.command for step in demo_steps(tmp_path, Settings(epochs=2, iterations=3), device="cpu")]
    assert "nnUNetv2_train 901 2d 0 -tr nnUNetTrainerUltraLightVM_2epochs_3iterations" in commands
    assert not [command for command in commands if str(tmp_path) in command]


def test_other_epochs_repeat_the_training_and_nothing_before_it(tmp_path):
    few, many = (
        [step.command for step in demo_steps(tmp_path, Settings(epochs=epochs), device="cpu")] for epochs in (1, 2)
    )
    assert [first == second for first, second in zip(few, many, strict=True)][:4] == [True, True, True, False]


@pytest.mark.parametrize("wrong", [{"n_training": 4}, {"n_unseen": 0}, {"epochs": 0}, {"size": 8}])
def test_refuses_settings_that_cannot_work(wrong):
    with pytest.raises(ValueError, match="expected at least"):
        Settings(**wrong)


@pytest.mark.slow
def test_whole_demo_learns_and_reports(tmp_path):
    folder = tmp_path / "demo"
    command = [str(Path(sys.executable).parent / "nnunet-mamba"), "demo", "--folder", str(folder)]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stdout + first.stderr
    found = re.search(r"Dice (\d\.\d+)", first.stdout)
    assert found
    assert float(found[1]) > 0.85
    assert first.stdout.strip().endswith(str(folder / "report.html"))

    trained = {path.name for path in (folder / "nnUNet_raw").rglob("imagesTr/*.png")}
    predicted = {path.stem for path in (folder / "predictions").glob("*.png")}
    assert len(predicted) == 20
    assert not predicted & {name.removesuffix("_0000.png") for name in trained}
    shipped = folder / "shipped-model"
    assert {path.stem for path in shipped.glob("*.png")} == predicted
    assert len(list((shipped / "overlays").iterdir())) == 20
    found_too = re.search(r"Dice (\d\.\d+) of the model that comes along", first.stdout)
    assert float(found_too[1]) > 0.7
    summary = json.loads((folder / "scores" / "summary.json").read_text())
    assert f"{summary['foreground_mean']['Dice']:.3f}" == found[1]

    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 0
    assert second.stderr.count("done before") == 8
