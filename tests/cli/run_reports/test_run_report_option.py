"""``--run-report``, on commands that run in moments."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app
from nnunet_mamba.demo.lesions import write_isic_folder


@pytest.fixture
def masks(tmp_path):
    """Folders of black and white masks: predictions and reference."""
    for folder in ("predictions", "masks"):
        (tmp_path / folder).mkdir()
        for name in "ab":
            mask = np.zeros((8, 8), np.uint8)
            mask[2:6, 2:6] = 255
            Image.fromarray(mask).save(tmp_path / folder / f"{name}.png")
    return tmp_path


def run(*arguments):
    return CliRunner(env={"NO_COLOR": "1"}).invoke(app, [str(one) for one in arguments])


def test_evaluate_tells_what_it_read_and_wrote(masks):
    command = ["evaluate", masks / "predictions", masks / "masks", "--output", masks / "scores", "--no-progress"]
    report = masks / "run.json"
    result = run(*command, "--run-report", report)
    assert result.exit_code == 0, result.output
    told = json.loads(report.read_text())
    assert (told["command"], told["outcome"]) == ("nnunet-mamba evaluate", "finished")
    assert [entry["path"] for entry in told["inputs"]] == [str(masks / "predictions"), str(masks / "masks")]
    assert [entry["path"] for entry in told["outputs"]] == [
        str(masks / "scores/summary.json"),
        str(masks / "scores/cases.csv"),
    ]
    assert told["options"]["progress"] is False
    assert "run_report" not in told["options"]


def test_a_conversion_tells_the_data_set_that_it_made(tmp_path):
    write_isic_folder(tmp_path / "isic", n_cases=5, seed=0, progress=False)
    report = tmp_path / "run.json"
    command = ["convert", "isic", tmp_path / "isic", "--output", tmp_path / "raw", "--size", "32", "--jobs", "1"]
    result = run(*command, "--run-report", report)
    assert result.exit_code == 0, result.output
    told = json.loads(report.read_text())
    (made,) = told["outputs"]
    assert made["path"] == str(tmp_path / "raw/Dataset101_ISIC")
    # Five images and labels, dataset.json, the splits and the record.
    assert made["files"] >= 12
    assert [entry["path"] for entry in told["inputs"]] == [str(tmp_path / "isic")]
    assert told["command"] == "nnunet-mamba convert isic"


def test_a_command_that_fails_has_a_report_too(masks):
    report = masks / "run.json"
    result = run("evaluate", masks / "predictions", masks / "nothing", "--run-report", report)
    assert result.exit_code == 1
    told = json.loads(report.read_text())
    assert (told["outcome"], told["outputs"]) == ("failed", [])


def test_a_file_that_is_no_report_stays_and_the_command_does_not_run(masks):
    report = masks / "masks" / "a.png"
    content = report.read_bytes()
    result = run("evaluate", masks / "predictions", masks / "masks", "--run-report", report)
    assert result.exit_code == 2
    assert "--run-report" in result.stderr
    assert "is no report of a run; give another name" in result.stderr
    assert report.read_bytes() == content
    assert not (masks / "predictions/summary.json").exists()


def test_a_report_that_cannot_be_written_is_told_before_anything_runs(masks):
    report = masks / "masks/a.png/run.json"
    result = run("evaluate", masks / "predictions", masks / "masks", "--run-report", report)
    assert result.exit_code == 1
    assert "Error: no report of the run" in result.stderr
    assert "Traceback" not in result.output
    assert not (masks / "predictions/summary.json").exists()


def test_what_keeps_a_run_from_being_told_names_options(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    (tmp_path / "Dataset001_Toy").mkdir()
    result = run("report", 1, "--run-report", tmp_path / "run.json", "-o", tmp_path / "page.html")
    assert result.exit_code == 1
    assert "and --folds reports on some" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        *("crossval", "evaluate", "external-test", "plan", "predict", "report"),
        *("convert isic", "convert folder", "convert lgg"),
    ],
)
def test_every_command_that_makes_something_has_the_option(command):
    result = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "200"}).invoke(app, [*command.split(), "--help"])
    assert "--run-report" in result.stdout
