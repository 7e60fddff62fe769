import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app

SIDE = 40


def run(*arguments):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def words(text):
    return " ".join(text.split())


@pytest.fixture
def folders(tmp_path):
    """Masks of ten images, two of each patient; B moves them further than A."""
    rng = np.random.default_rng(0)
    for index in range(10):
        square = np.zeros((SIDE, SIDE), np.uint8)
        square[10:30, 10:30] = 255
        for kind, shift in (("references", 0), ("A", rng.integers(0, 2)), ("B", rng.integers(3, 6))):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(np.roll(square, shift, axis=0)).save(tmp_path / kind / f"x{index}.png")
    rows = [f"x{index},P{index // 2}" for index in range(10)]
    (tmp_path / "patients.csv").write_text("\n".join(["image,patient_id", *rows]) + "\n")
    return tmp_path


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    """Two folds of two trainers: A finds two pixels more in each of eight cases."""
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / variable).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / variable))
    for trainer, more in (("A", 2), ("B", 0)):
        model = tmp_path / "nnUNet_results" / "Dataset001_Toy" / f"{trainer}__nnUNetPlans__2d"
        for fold in range(2):
            validation = model / f"fold_{fold}" / "validation"
            validation.mkdir(parents=True)
            (validation.parent / "checkpoint_final.pth").touch()
            cases = []
            for n in range(4):
                found = 8 + n + more
                metrics = {"1": {"TP": found, "FP": 0, "FN": 20 - found, "TN": 80}}
                cases.append({"prediction_file": f"/x/c{fold}{n}.png", "metrics": metrics})
            content = {"metric_per_case": cases, "foreground_mean": {"Dice": 0.5}}
            (validation / "summary.json").write_text(json.dumps(content))
        content = {"labels": {"background": 0, "lesion": 1}, "file_ending": ".png", "channel_names": {"0": "R"}}
        (model / "dataset.json").write_text(json.dumps(content))
    return tmp_path


def test_trainings_are_compared_on_the_cases_of_all_folds(trainings):
    result = run("1", "-c", "2d", "--trainers", "A,B", "--output", trainings / "scores")
    assert result.exit_code == 0, result.output
    assert "A is better than B by" in result.stdout
    assert "8 cases; p = 0.008" in result.stdout
    assert "10000 bootstrap resamples of cases, seed 0" in words(result.stdout)
    assert "8 / 0 / 0" in result.stdout
    assert str(trainings / "scores" / "comparison.json") in result.stdout
    assert "2 folds, which share training data" in words(result.stderr)
    assert "8 cases are few, below 50" in words(result.stderr)
    assert "No patients are known" in words(result.stderr)
    assert "name a table of patients with --groups" in words(result.stderr)
    assert {path.name for path in (trainings / "scores").iterdir()} == {"comparison.json", "comparison.csv"}


def test_the_record_of_the_raw_data_tells_the_patients(trainings):
    raw = trainings / "nnUNet_raw" / "Dataset001_Toy"
    raw.mkdir()
    cases = {
        f"c{fold}{n}": {"part": "training", "files": [], "bytes": [], "group": f"P{fold}{n // 2}"}
        for fold in range(2)
        for n in range(4)
    }
    record = {"converter": "x", "options": {}, "revision": 2, "sources": [], "skipped": {}, "cases": cases}
    (raw / "nnunet_mamba_conversion.json").write_text(json.dumps(record))
    found = json.loads(run("1", "-c", "2d", "--trainers", "A,B", "--json").stdout)
    assert (found["resampled"], found["comparisons"][0]["n_groups"]) == ("patients", 4)
    assert found["comparisons"][0]["better"] is None


def test_folders_are_compared_with_the_same_references(folders):
    result = run(folders / "A", folders / "B", "--reference", folders / "references", "--processes", 1, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["comparisons"][0]["better"] == "A"
    assert found["comparisons"][0]["n_groups"] == 10
    assert not list(folders.rglob("summary.json"))


def test_cases_that_no_folder_has_predicted_are_left_out_when_told(folders):
    for kind in "AB":
        (folders / kind / "x3.png").unlink()
    arguments = [folders / "A", folders / "B", "--reference", folders / "references", "--processes", 1, "--json"]
    result = run(*arguments)
    assert result.exit_code == 1
    assert "Score what is predicted with --allow-missing" in result.stderr
    assert json.loads(run(*arguments, "--allow-missing").stdout)["comparisons"][0]["n_cases"] == 9
    (folders / "A" / "x4.png").unlink()
    result = run(*arguments, "--allow-missing")
    assert "A and B were scored on other cases, 1 only in B (x4)" in words(result.stderr)


def test_a_table_of_patients_resamples_them_whole(folders):
    result = run(
        *(folders / "A", folders / "B", "--reference", folders / "references", "--processes", 1),
        *("--groups", folders / "patients.csv", "--seed", 7, "--resamples", 2000),
    )
    assert result.exit_code == 0, result.output
    assert "2000 bootstrap resamples of patients, seed 7" in words(result.stdout)
    assert "5 patients cannot show a difference here" in words(result.stderr)
    assert "No difference shown: A has" in result.stdout


def test_distances_are_compared_in_their_unit(folders):
    result = run(
        *(folders / "A", folders / "B", "--reference", folders / "references", "--processes", 1, "--metric", "hd95")
    )
    assert result.exit_code == 0, result.output
    assert "HD95 in pixel, paired by case; lower is better" in words(result.stdout)
    assert "pixels of HD95 (95 % interval" in result.stdout
    assert "A is better than B by" in result.stdout


def test_what_a_command_line_cannot_mean_is_one_sentence(folders, trainings):
    a, b, references = (folders / name for name in ("A", "B", "references"))
    for arguments, text in (
        ((a, b), "need --reference, the folder of references, and the trainings of a data set --trainers"),
        ((a, "--reference", references), "A: expected two or more folders of predictions; name another one"),
        (("~/a", "~/b", "--reference", references), "FOLDER '~/a': "),
        (("1", "2", "--trainers", "A,B"), "--trainers compares trainings of one data set, and 1, 2 are named"),
        (("1", "--trainers", "A"), "1 model to compare, expected two or more"),
        (("1", "--trainers", "A,B", "--reference", references), "--reference means nothing beside --trainers"),
        ((a, b, "--reference", references, "-c", "2d"), "--configuration means nothing beside folders of predictions"),
        (("1", "--trainers", "A,B", "--metric", "volume"), "--metric volume: expected one of dice, iou"),
        (("1", "--trainers", "A,B", "--tolerance", 1), "--tolerance means nothing beside --metric dice"),
        (
            (a, b, "--reference", references, "--metric", "nsd", "--convention", "medpy"),
            "--convention medpy has no NSD",
        ),
        (("1", "--trainers", "A,B", "--label", "organ"), "--label organ: the models have lesion"),
        (("1", "--trainers", "A,B", "--against", "C"), "--against C: the models are A, B"),
        (("1", "--trainers", "A,B", "--folds", "0,2"), "A__nnUNetPlans__2d: fold 2 is not begun"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1, arguments
        assert text in words(result.stderr), arguments
        assert result.stderr.startswith("Error: "), arguments
        assert not result.stdout
