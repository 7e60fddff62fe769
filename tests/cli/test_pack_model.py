import json

import pytest
from typer.testing import CliRunner

from nnunet_mamba import __version__
from nnunet_mamba.cli.main import app
from nnunet_mamba.models.opening import open_model


@pytest.fixture(autouse=True)
def _no_folders_of_nnunet(monkeypatch):
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(variable, raising=False)


def run(*arguments):
    return CliRunner().invoke(app, ["pack-model", *map(str, arguments)])


def test_a_model_is_packed_with_all_that_its_author_says(trained, tmp_path):
    folder, output = trained(folds=(0, 1)), tmp_path / "model.zip"
    scores = [{"data": "PH2", "protocol": "pooled pixels", "metric": "Dice", "value": 0.9}]
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    (tmp_path / "words.md").write_text("## Limits\n\nOnly discs.\n")
    result = run(
        *(
            folder,
            "-o",
            output,
            "--folds",
            "1",
            "--name",
            "discs",
            "--licence-weights",
            "CC0",
            "--licence-data",
            "mine",
        ),
        *("--scores", tmp_path / "scores.json", "--card-text", tmp_path / "words.md", "--trained-here"),
    )
    assert (result.exit_code, result.stdout) == (0, f"{output}\n"), result.output
    assert result.stderr.startswith("Note: The model does not tell how its images were converted")
    model = open_model(output)
    assert (model.description.name, model.description.fold_names) == ("discs", ("1",))
    assert (model.description.licences.code, model.description.licences.weights) == ("Apache-2.0", "CC0")
    assert model.description.scores[0].value == 0.9
    assert model.description.training.versions["nnunet-mamba"] == __version__
    assert model.description.training.versions.keys() == {"nnunet-mamba", "torch", "nnunetv2"}
    assert "Only discs." in model.card()


def test_a_missing_licence_is_told(trained, tmp_path):
    result = run(trained(), "-o", tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert "with --licence-weights" in result.stderr
    assert "with --licence-data" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--folds", "0,x"), "--folds '0,x' names 'x', expected numbers such as 0,1, or all"),
        (("--folds", "3"), "fold_3/checkpoint_final.pth, but fold_0/checkpoint_final.pth; choose among those"),
        (("--checkpoint-name", "best.pth"), "choose among those there are with --checkpoint-name"),
        (("-chk", "best.pth"), "choose among those there are with --checkpoint-name"),
        (("--name", "a b"), 'name is "a b", expected a name, of letters'),
        (("--licence-data", " "), "licences.data is"),
        (("--scores", "scores.json"), "scores.json: [0].value is null, expected a finite number; correct it, or leave"),
        (("--card-text", "none.md"), "No such file or directory: none.md"),
    ],
)
def test_what_makes_no_sense_is_told_and_nothing_written(trained, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    scores = [{"data": "PH2", "protocol": "pooled pixels", "metric": "Dice", "value": None}]
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    result = run(trained(), "-o", "model.zip", *arguments)
    assert result.exit_code == 1
    assert told in result.stderr
    assert not (tmp_path / "model.zip").exists()


def test_an_archive_is_only_replaced_if_that_is_asked_for(trained, tmp_path):
    folder, output = trained(), tmp_path / "model.zip"
    assert run(folder, "-o", output).exit_code == 0
    again = run(folder, "-o", output)
    assert again.exit_code == 1
    assert f"Error: {output} exists; choose another --output, or replace it with --overwrite" in again.stderr
    assert run(folder, "-o", output, "--overwrite").exit_code == 0
