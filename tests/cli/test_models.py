import json
import shutil
import zipfile

import pytest
import torch
from trained_models import DATASET, assert_same_weights, stored_weights, write_results
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app
from nnunet_mamba.models import shipped_models
from nnunet_mamba.models.bundles.model_json import WEIGHTS_FILE
from nnunet_mamba.models.description import Score
from nnunet_mamba.models.packing import AuthorStatements, pack_model

SCORES = (
    Score(data="PH2", protocol="pooled pixels", metric="Dice", value=0.913),
    Score(data="PH2", protocol="mean over cases", metric="IoU", value=0.99),
    # The list tells the one that the author leads with, be it the best or not.
    Score(data="ISIC", protocol="mean over cases", metric="Dice", value=0.95),
)


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    """An empty folder in the place of the shipped models, and no folders of nnU-Net."""
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "shipped"
    monkeypatch.setattr(shipped_models, "shipped_folder", lambda: folder)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


@pytest.fixture
def isic(shipped, trained):
    """A shipped model with an alias."""
    folder = trained()
    pack_model(folder, shipped / "ultralight-isic", statements=AuthorStatements(name="ultralight-isic", scores=SCORES))
    (shipped / "aliases.json").write_text('{"isic": "ultralight-isic"}')
    return folder


@pytest.mark.parametrize("command", [(), ("list",)])
def test_shipped_models_are_listed(isic, command):
    result = run(*command)
    assert result.exit_code == 0, result.output
    line = next(line for line in result.stdout.splitlines() if "ultralight-isic" in line)
    for text in ("ultralight-isic (isic)", "ultralight_vm_unet", "49 466", DATASET, "kB", "0.9130, PH2, pooled pixels"):
        assert text in line
    (entry,) = json.loads(run(*command, "--json").stdout)
    assert (entry["name"], entry["aliases"], entry["n_parameters"]) == ("ultralight-isic", ["isic"], 49466)


def test_without_any_model_the_list_is_empty():
    result = run()
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No model comes with this nnunet-mamba" in result.stderr
    assert json.loads(run("--json").stdout) == []


def test_a_model_shows_its_card(isic, shipped):
    result = run("show", "isic")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("# ultralight-isic\n\n**Not a medical device")
    assert result.stdout.rstrip().endswith(str(shipped / "ultralight-isic"))
    described = json.loads(run("show", isic, "--folds", "0", "--json").stdout)
    assert (described["trainer"], described["folds"][0]["name"]) == ("nnUNetTrainerUltraLightVM", "0")


def test_every_model_is_verified_in_a_line(isic, trained, packed, tmp_path):
    bundle = packed("mine", "nnUNetTrainerUltraLBMT")
    broken = shutil.copytree(bundle, tmp_path / "broken")
    with (broken / WEIGHTS_FILE).open("ab") as file:
        file.write(b"x")
    result = run("verify", "isic", broken, "isci", "~/model", trained("nnUNetTrainer"), bundle)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "failed", "failed", "failed", "ok", "ok"]
    assert lines[0] == "ok      isic: ultralight_vm_unet with 49466 parameters, folds 0"
    assert "has the SHA-256" in lines[1]
    assert "did you mean 'isic'?" in lines[2]
    assert "'~' stands for the home folder in a shell only" in lines[3]
    assert "weights of nnUNetTrainer, whose network only nnU-Net can build, folds 0" in lines[4]
    assert run("verify", "isic", bundle).exit_code == 0


def test_a_model_is_imported_into_nnunets_results(isic, tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "other results"))
    folder = tmp_path / "other results" / DATASET / isic.name
    result = run("import", "isic")
    assert (result.exit_code, result.stdout) == (0, f"{folder}\n"), result.output
    assert (
        f"nnUNetv2_predict -i IMAGES -o MASKS -d {DATASET} -c 2d -tr nnUNetTrainerUltraLightVM -p nnUNetPlans -f 0"
        in (result.stderr)
    )
    assert_same_weights(stored_weights(folder), stored_weights(isic))
    again = run("import", "isic")
    assert again.exit_code == 1
    assert f"Error: {folder} exists, and is not replaced; choose another data set with --dataset" in again.stderr
    assert run("import", "isic", "--dataset", "Dataset902_Other").exit_code == 0
    elsewhere = run("import", "isic", "--to", tmp_path / "there")
    assert f"export nnUNet_results={tmp_path}/there" in elsewhere.stderr


def test_all_models_of_an_archive_of_nnunet_are_imported_or_none(tmp_path):
    names = ("nnUNetTrainerUltraLBM", "nnUNetTrainerUltraLBMT")
    folders = [write_results(name, tmp_path / "results") for name in names]
    archive = tmp_path / "two.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for folder in folders:
            for file in folder.rglob("*"):
                zipped.write(file, file.relative_to(tmp_path / "results"))
            zipped.writestr(f"{DATASET}/{folder.name}/postprocessing.pkl", b"code")
    result = run("import", archive, "--to", tmp_path / "there")
    assert result.exit_code == 0, result.output
    made = [tmp_path / "there" / DATASET / folder.name for folder in folders]
    assert sorted(result.stdout.splitlines()) == sorted(map(str, made))
    assert not list(tmp_path.glob("there/**/*.pkl"))
    for folder, original in zip(made, folders, strict=True):
        assert_same_weights(stored_weights(folder), stored_weights(original))
    shutil.rmtree(made[0])
    assert run("import", archive, "--to", tmp_path / "there").exit_code == 1
    assert not made[0].exists()


def test_a_checkpoint_to_begin_with_is_exported(isic, packed, tmp_path):
    checkpoint = tmp_path / "weights.pth"
    result = run("export", "isic", "--checkpoint", checkpoint)
    assert (result.exit_code, result.stdout) == (0, f"{checkpoint}\n"), result.output
    assert f"-tr nnUNetTrainerUltraLightVM -pretrained_weights {checkpoint}" in result.stderr
    assert_same_weights(torch.load(checkpoint, weights_only=True)["network_weights"], stored_weights(isic))
    again = run("export", "isic", "--checkpoint", checkpoint)
    assert (again.exit_code, again.stdout) == (1, "")
    assert "exists; choose another name, or pass --overwrite" in again.stderr
    two = packed("two.zip", "nnUNetTrainerUltraLBMT", folds=(0, 1))
    assert (
        "Fold 0 of 0, 1; choose another one with --fold."
        in run("export", two, "--checkpoint", checkpoint, "--overwrite").stderr
    )
    wrong = run("export", two, "--checkpoint", checkpoint, "--fold", "3", "--overwrite")
    assert wrong.exit_code == 1
    assert "has no fold 3, but 0, 1" in wrong.stderr
