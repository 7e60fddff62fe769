"""``--groups``: a table that says which images belong together, through the commands."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.convert import app

NAMES = [f"ISIC_{number}" for number in range(12)]


@pytest.fixture
def source(tmp_path):
    """Twelve photographs in a layout that both commands know."""
    for folder in ("images", "masks"):
        (tmp_path / "source" / folder).mkdir(parents=True)
    mask = np.zeros((12, 16), np.uint8)
    mask[3:9, 4:10] = 255
    for number, name in enumerate(NAMES):
        noise = np.random.default_rng(number).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "source" / "images" / f"{name}.jpg")
        Image.fromarray(mask).save(tmp_path / "source" / "masks" / f"{name}.png")
    return tmp_path / "source"


@pytest.fixture
def table(tmp_path):
    def write(lesions, *, name="metadata.csv"):
        rows = [f"{image},{lesion}\n" for image, lesion in zip(NAMES, lesions, strict=False)]
        (tmp_path / name).write_text("isic_id,lesion_id\n" + "".join(rows))
        return tmp_path / name

    return write


@pytest.fixture(params=["isic", "folder"])
def run(request, source, tmp_path):
    def run(*options):
        arguments = (request.param, source, "--output", tmp_path / "raw", "--no-progress", "--jobs", 1, *options)
        return CliRunner().invoke(app, [str(one) for one in arguments])

    return run


def written(tmp_path, name):
    (folder,) = (tmp_path / "raw").iterdir()
    return json.loads((folder / name).read_text())


# Two images a lesion, but for the last four.
LESIONS = ["a", "b", "c", "d", "a", "b", "c", "d", "", "", "e", "f"]


def test_folds_keep_a_lesion_on_one_side(run, table, tmp_path):
    result = run("--groups", table(LESIONS))
    assert result.exit_code == 0, result.output
    lesion_of = dict(zip(NAMES, LESIONS, strict=True))
    folds = written(tmp_path, "splits_final.json")
    assert len(folds) == 5
    for fold in folds:
        assert not {lesion_of[name] for name in fold["train"]} & {lesion_of[name] for name in fold["val"]} - {""}
    assert sorted(name for fold in folds for name in fold["val"]) == sorted(NAMES)
    assert written(tmp_path, "nnunet_mamba_conversion.json")["options"]["groups"].startswith("8 groups of 12 cases")


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]], ids=["written", "dry run"])
def test_a_lesion_in_training_and_in_the_test_images_is_told_of(run, table, tmp_path, request, dry_run):
    # "folder" looks for test images where it found those of training, "isic" in the folder itself.
    given = tmp_path / "test" if request.node.callspec.params["run"] == "folder" else tmp_path / "test" / "images"
    (tmp_path / "test" / "images").mkdir(parents=True)
    for number, name in enumerate(("ISIC_90", "ISIC_91")):
        noise = np.random.default_rng(90 + number).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "test" / "images" / f"{name}.jpg")
    path = table(LESIONS)
    path.write_text(path.read_text() + "ISIC_90,a\nISIC_91,z\n")
    result = run("--groups", path, "--test-images", given, *dry_run)
    assert result.exit_code == 0, result.output
    warning = " ".join(result.stdout.partition("Warning: ")[2].split())
    assert warning.startswith("1 of 2 test cases show a patient or lesion that has training cases too")
    assert "new patients: ISIC_90; leave" in warning


def test_the_same_groups_continue_and_others_are_another_conversion(run, table):
    assert run("--groups", table(LESIONS)).exit_code == 0
    again = run("--groups", table([lesion.upper() for lesion in LESIONS], name="renamed.csv"))
    assert "nothing to do, the folder was complete" in again.stdout
    for options in ([], ["--groups", table(["a", "a", "b"], name="other.csv"), "--allow-missing-groups"]):
        other = run(*options)
        assert other.exit_code == 1
        assert "groups: the folder has 8 groups of 12 cases" in other.stderr


def test_a_table_without_shared_groups_changes_nothing(run, table):
    assert run().exit_code == 0
    assert "nothing to do, the folder was complete" in run("--groups", table(range(12))).stdout


def test_missing_and_contradicting_rows_are_problems_beside_the_others(run, table, source, tmp_path):
    path = table(LESIONS[:10])
    path.write_text(path.read_text() + "ISIC_0,b\n")
    (source / "images" / "ISIC_3.jpg").write_bytes(b"")
    report = tmp_path / "problems.csv"
    result = run("--groups", path, "--report", report)
    assert result.exit_code == 1
    with report.open(newline="") as file:
        problems = {(row["case"], row["problem"].split(";")[0]) for row in csv.DictReader(file)}
    missing = "one of 2 training cases without a row in metadata.csv, the first is ISIC_10"
    assert problems == {
        ("ISIC_10", missing),
        ("ISIC_11", missing),
        ("ISIC_0", "rows with different groups, lesion_id a (line 2) and lesion_id b (line 12), expected one"),
        ("ISIC_3", "the file is empty (0 bytes)"),
    }
    assert not (tmp_path / "raw").exists()
    skipped = run("--groups", path, "--skip-invalid", "--allow-missing-groups")
    assert skipped.exit_code == 0, skipped.output
    assert written(tmp_path, "nnunet_mamba_conversion.json")["skipped"].keys() == {"ISIC_0", "ISIC_3"}
    assert "nothing to do" in run("--groups", path, "--skip-invalid", "--allow-missing-groups").stdout


def test_a_table_of_other_images_is_one_sentence(run, tmp_path):
    (tmp_path / "other.csv").write_text("image_id;patient_id\r\nHAM_1;7\r\n")
    result = run("--groups", tmp_path / "other.csv")
    assert result.exit_code == 1
    assert "no row for any of 12 training cases, the first is ISIC_0" in result.stderr
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("options", [["--group-column", "x"], ["--allow-missing-groups"]])
def test_options_of_the_table_need_it(run, options):
    assert run(*options).exit_code == 2


def test_nothing_is_grouped_for_a_prediction(run, table, tmp_path):
    assert run("--groups", table(LESIONS), "--images-only", tmp_path / "new").exit_code == 2
    assert not (tmp_path / "new").exists()


def test_patterns_and_a_table_do_not_both_tell_the_group(source, table, tmp_path):
    arguments = ("folder", source, "--groups", table(LESIONS), "--output", tmp_path / "raw", "--image-pattern")
    patterns = ("images/{group}_{case}", "--mask-pattern", "masks/{group}_{case}")
    result = CliRunner().invoke(app, [str(one) for one in (*arguments, *patterns)])
    assert result.exit_code == 1
    assert "--groups and {group} in a pattern" in result.stderr


def test_summary_and_dry_run_tell_the_groups(run, table):
    for options in (["--dry-run"], []):
        result = run("--groups", table(LESIONS), *options)
        assert re.search(r"^groups +8 for 12 training cases$", result.stdout, re.MULTILINE)
        assert ("lesion_id a" in result.stdout) == bool(options)


def test_summary_says_nothing_of_groups_where_there_are_none(run):
    assert "groups" not in run("--dry-run").stdout
