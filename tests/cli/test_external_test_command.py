import csv
import json
import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app

PLAIN = {"NO_COLOR": "1", "COLUMNS": "200"}
TRAINER = "nnUNetTrainerUltraLightVM"


@pytest.fixture(autouse=True)
def _no_folders_of_nnunet(monkeypatch):
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def photographs(tmp_path):
    """Photographs with their masks beside them."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(folder / f"{name}.png")
        mask = (rng.random((40, 50)) > 0.5).astype(np.uint8) * 255
        Image.fromarray(mask).save(folder / f"{name}_mask.png")
    return folder


@pytest.fixture
def external_test(tmp_path):
    """Run the command, and return its result."""

    def run(*arguments, reference=tmp_path / "photographs"):
        options = ["--reference", reference, "-o", tmp_path / "out", "--device", "cpu", "--no-progress"]
        return CliRunner(env=PLAIN).invoke(app, ["external-test", *map(str, [*arguments, *options])])

    return run


@pytest.fixture
def results(trained, monkeypatch):
    """Three models of one training: two folds of a seed, and one of another."""
    folder = trained(f"{TRAINER}_seed0", folds=(0, 1))
    trained(f"{TRAINER}_seed1", folds=(2,))
    monkeypatch.setenv("nnUNet_results", str(folder.parent.parent))
    return folder.parent


@pytest.mark.usefixtures("results")
def test_all_folds_and_seeds_are_rows_and_their_mean_is_one(external_test, photographs, tmp_path):
    result = external_test(photographs, "-d", "901", "--trainers", TRAINER, "-c", "2d", "--distances")
    assert result.exit_code == 0, result.output
    for text in ("_seed0 fold 0", "_seed0 fold 1", "_seed1 fold 2", f"{TRAINER}, mean ± SD of 3", "HD95", "NSD"):
        assert text in result.stdout
    assert "± is the sample standard deviation over the models of a training: its folds and seeds." in result.stdout
    assert result.stdout.endswith(f"{tmp_path / 'out/external_test.json'}\n{tmp_path / 'out/external_test.csv'}\n")
    with (tmp_path / "out/external_test.csv").open(encoding="utf-8", newline="") as file:
        assert len({row["hd95"] for row in csv.DictReader(file)}) > 1


@pytest.mark.usefixtures("results")
def test_all_folds_together_are_tested_if_wanted_and_json_is_all_that_is_printed(external_test, photographs):
    result = external_test(photographs, "-d", "901", "--trainers", f"{TRAINER}_seed0", "--ensemble", "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert [one["folds"] for one in content["models"]] == [["0"], ["1"], ["0", "1"]]
    assert [(row["is_ensemble"], row["n_models"]) for row in content["means"]] == [(False, 2), (True, 1)]
    assert content["means"][1]["deviation"]["dice"] is None


def test_an_image_that_fails_leaves_no_table(external_test, photographs, packed, tmp_path):
    (photographs / "a.png").write_bytes(b"no image")
    result = external_test(photographs, "-m", packed())
    assert result.exit_code == 1
    assert f"Not predicted by 1 model: {photographs / 'a.png'}" in result.stderr
    assert "1 image has no mask, so nothing is scored" in result.stderr
    assert (tmp_path / "out/model/b.png").is_file()
    assert not (tmp_path / "out/external_test.json").exists()


def test_a_report_of_the_run_names_what_was_read(external_test, photographs, results, tmp_path):
    report = tmp_path / "run.json"
    result = external_test(photographs, "-d", "901", "-tr", f"{TRAINER}_seed1", "--run-report", report)
    assert result.exit_code == 0, result.output
    told = json.loads(report.read_text(encoding="utf-8"))
    assert (told["command"], told["outcome"]) == ("nnunet-mamba external-test", "finished")
    assert told["peak_memory"]["process"] > 0
    read = {entry["path"]: entry["sha256"] for entry in told["inputs"]}
    assert set(read) == {str(photographs), str(results / f"{TRAINER}_seed1__nnUNetPlans__2d/fold_2")}
    written = {entry["path"]: entry["sha256"] for entry in told["outputs"]}
    table = tmp_path / "out/external_test.csv"
    assert set(written) == {str(tmp_path / "out"), str(table), str(table.with_suffix(".json"))}
    assert written[str(table)] == sha256(table.read_bytes()).hexdigest()
    assert len({*read.values(), *written.values()}) == 5


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ((), 2, "name models: --model NAME"),
        (("-m", "isic", "--trainers", "A"), 2, "give -d, too"),
        (("-m", "isic", "-f", "one"), 2, "expected numbers such as 0,1, or all"),
        (("-m", "~/model.zip"), 2, "stands for the home folder in a shell only"),
        (("-m", "isi"), 1, "there is no model 'isi'"),
    ],
)
def test_what_names_no_models_is_refused(external_test, photographs, options, code, text):
    result = external_test(photographs, *options)
    assert result.exit_code == code
    assert text in result.stderr


def test_missing_masks_are_listed(external_test, photographs, packed):
    (photographs / "a_mask.png").unlink()
    result = external_test(photographs, "-m", packed())
    assert result.exit_code == 1
    assert "1 image has no reference" in result.stderr
    assert str(photographs / "a.png") in result.stderr


@pytest.mark.real_data
@pytest.mark.skipif("NNUNET_MAMBA_REAL_DATA" not in os.environ, reason="NNUNET_MAMBA_REAL_DATA names no folder")
def test_ph2_is_tested_as_its_archive_holds_it(external_test):
    source = Path(os.environ["NNUNET_MAMBA_REAL_DATA"]) / "PH2Dataset"
    result = external_test(source, "-m", "isic", "--json", reference=source)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    (label,) = content["models"][0]["labels"]
    assert content["n_cases"] == 10
    assert label["per_case"]["mean_dice"] > 0.8
