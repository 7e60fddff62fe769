import inspect

import pytest
import typer
from typer.testing import CliRunner

from nnunet_mamba.cli.demo import demo
from nnunet_mamba.demo import pipeline
from nnunet_mamba.demo.steps import RECORD, DemoFailedError, DemoStep

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(demo)


@pytest.fixture
def failing_steps(monkeypatch):
    def fail(on_line):
        on_line("2026-11-20 20:55:22.858501: Epoch 3")
        raise DemoFailedError("'nnUNetv2_train' failed (exit code 1), all of it is in 4-train.log")

    def steps(folder, settings, *, device):
        good = DemoStep(name="a", title="Draw", command="draw", action=lambda on_line: None, makes=())
        return [good, DemoStep(name="b", title="Train", command="train", action=fail, makes=())]

    monkeypatch.setattr(pipeline, "demo_steps", steps)


def test_failing_step_ends_with_its_message_and_keeps_what_is_done(failing_steps, tmp_path):
    first = CliRunner().invoke(app, ["--folder", str(tmp_path / "demo")])
    assert first.exit_code == 1
    assert "4-train.log" in first.stderr
    assert "✓ Draw" in first.stderr
    assert first.stdout == ""
    second = CliRunner().invoke(app, ["--folder", str(tmp_path / "demo")])
    assert "done before" in second.stderr


def test_folder_with_other_content_is_refused(failing_steps, tmp_path):
    (tmp_path / "photo.jpg").write_text("mine")
    result = CliRunner().invoke(app, ["--folder", str(tmp_path), "--fresh"])
    assert result.exit_code == 1
    assert "photo.jpg" in result.stderr
    assert "--folder" in result.stderr
    assert not (tmp_path / RECORD).exists()


def test_a_damaged_record_and_a_file_name_their_options(failing_steps, tmp_path):
    (tmp_path / RECORD).write_text('{"made_by": "nnunet-mamba demo", "steps": 3}')
    result = CliRunner().invoke(app, ["--folder", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].endswith("start over with --fresh")
    result = CliRunner().invoke(app, ["--folder", str(tmp_path / RECORD)])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].endswith(f"{RECORD} is a file; name a folder for the demo with --folder")


def test_defaults_are_those_of_the_settings():
    defaults = {name: parameter.default for name, parameter in inspect.signature(demo).parameters.items()}
    settings = pipeline.Settings()
    assert defaults["epochs"] == settings.epochs
    assert defaults["iterations"] == settings.iterations
    assert defaults["images"] == settings.n_training
    assert defaults["unseen"] == settings.n_unseen
    assert defaults["size"] == settings.size
    assert defaults["seed"] == settings.seed
