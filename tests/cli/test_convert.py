import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.convert import app


@pytest.fixture
def source(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / "isic" / folder).mkdir(parents=True)
    for number in range(3):
        photograph = np.random.default_rng(number).integers(0, 255, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(photograph).save(tmp_path / "isic" / "images" / f"ISIC_{number}.jpg")
        mask = np.zeros((20, 30), np.uint8)
        mask[5:15, 5 : 20 + number] = 255
        Image.fromarray(mask).save(tmp_path / "isic" / "masks" / f"ISIC_{number}_segmentation.png")
    return tmp_path / "isic"


@pytest.fixture
def raw(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    return tmp_path / "raw"


@pytest.fixture
def draw_challenge(source):
    """Write the training and test parts of a challenge; their pictures differ."""

    def draw(root):
        for role, turn in (("Training", 0), ("Test_v2", 90)):
            for kind, name in (("images", f"ISIC-2017_{role}_Data"), ("masks", f"ISIC-2017_{role}_Part1_GroundTruth")):
                (root / name).mkdir(parents=True)
                for path in sorted((source / kind).iterdir()):
                    picture = Image.open(path).rotate(turn, expand=True)
                    picture.save(root / name / path.name.replace("ISIC_", f"ISIC_{role}"))
        return root

    return draw


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_ends_with_a_table_and_the_next_command(source, raw):
    result = run("isic", source, "--no-progress")
    assert result.exit_code == 0, result.output
    assert "training cases  3" in result.stdout
    assert str(raw / "Dataset101_ISIC") in result.stdout
    assert "leave-one-out, 3 folds" in result.stdout
    assert "  nnUNetv2_plan_and_preprocess -d 101 -c 2d --verify_dataset_integrity\n" in result.stdout
    assert "  nnunet-mamba plan 101 --trainers nnUNetTrainerUltraLightVM\n" in result.stdout
    assert "export nnUNet_raw" not in result.stdout
    assert "nothing to do, the folder was complete" in run("isic", source, "--no-progress").stdout


def test_options_reach_the_converter(source, tmp_path, monkeypatch):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    output = tmp_path / "my output"
    result = run(
        "isic", source / "images", source / "masks", "--output", output, "--dataset-id", "7", "--name", "Mine",
        "--size", "8x16", "--sigmoid", "--jobs", "1", "--no-progress",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert Image.open(output / "Dataset007_Mine" / "imagesTr" / "ISIC_0_0000.png").size == (16, 8)
    assert '"regions_class_order"' in (output / "Dataset007_Mine" / "dataset.json").read_text()
    assert f"export nnUNet_raw='{output}'" in result.stdout


def test_problems_are_listed_without_a_traceback(source, raw):
    (source / "images" / "ISIC_0.jpg").write_bytes(b"")
    (source / "masks" / "ISIC_1_segmentation.png").unlink()
    result = run("isic", source, "--no-progress")
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "Error: 2 problems found, nothing written" in result.stderr
    for text in ("ISIC_0", "the file is empty", "ISIC_1", "no mask for this image"):
        assert text in result.stderr
    assert "│" in result.stderr
    assert not raw.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["isic", "nowhere"], 1, "nowhere is not a folder"),
        (["isic", "{source}", "--size", "big"], 2, "size 'big': expected"),
        (["isic", "{source}", "--dataset-id", "1000"], 2, "expected 1 to 999"),
    ],
)
def test_wrong_arguments_are_explained(source, raw, arguments, code, text):
    result = run(*[argument.format(source=source) for argument in arguments])
    assert result.exit_code == code
    assert text in result.stderr


def test_unset_variable_is_explained(source, monkeypatch):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    result = run("isic", source)
    assert result.exit_code == 1
    assert "nnUNet_raw is not set" in result.stderr
    assert "export nnUNet_raw=" in result.stderr


def test_unwritable_target_is_explained(source, tmp_path):
    (tmp_path / "file").write_text("x")
    result = run("isic", source, "--output", tmp_path / "file", "--no-progress")
    assert result.exit_code == 1
    assert f"{tmp_path / 'file'} is a file, expected a folder" in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_ctrl_c_says_how_to_go_on(source, raw, monkeypatch):
    def interrupt(self, path, array):
        raise KeyboardInterrupt

    monkeypatch.setattr("nnunet_mamba.data.converters.binary_mask_photographs.PhotographConverter.write", interrupt)
    result = run("isic", source, "--no-progress")
    assert result.exit_code == 130
    assert "run the same command again" in result.stderr
    monkeypatch.undo()
    assert run("isic", source, "--no-progress", "--output", raw).exit_code == 0


def test_images_only_writes_the_input_of_a_prediction(source, tmp_path):
    result = run("isic", source / "images", "--images-only", tmp_path / "new", "--no-progress")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "new").glob("*.png")) == [f"ISIC_{n}_0000.png" for n in range(3)]
    assert "nnUNetv2_predict -i" in result.stdout


@pytest.mark.parametrize("options", [["masks"], ["--sigmoid"], ["--test-images", "x"]])
def test_images_only_refuses_options_of_training_data(source, tmp_path, options):
    result = run("isic", source, *options, "--images-only", tmp_path / "new")
    assert result.exit_code == 2
    assert not (tmp_path / "new").exists()


def test_help_needs_no_heavy_imports():
    code = (
        "import sys, nnunet_mamba.cli.convert\n"
        "assert not {'numpy', 'PIL', 'tqdm', 'pandas', 'torch', 'nnunetv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dry_run_shows_every_case_and_writes_nothing(source, raw):
    result = run("isic", source, "--no-progress", "--dry-run")

    assert result.exit_code == 0, result.output
    for number in range(3):
        assert f"ISIC_{number}" in result.stdout
    assert "20×30" in result.stdout
    assert "nothing, a dry run" in result.stdout
    assert not raw.exists()


def test_invalid_cases_are_left_out_and_listed(source, raw, tmp_path):
    (source / "masks" / "ISIC_1_segmentation.png").write_bytes(b"")

    result = run("isic", source, "--no-progress", "--skip-invalid", "--report", tmp_path / "problems.csv")

    assert result.exit_code == 0, result.output
    assert "left out: 1" in result.stdout
    assert "ISIC_1" in result.stdout
    assert "training cases  2" in result.stdout
    assert "ISIC_1,the file is empty" in (tmp_path / "problems.csv").read_text()


def test_zip_archives_are_folders(source, raw, tmp_path):
    for part in ("images", "masks"):
        shutil.make_archive(str(tmp_path / part), "zip", source, part)

    result = run("isic", tmp_path / "images.zip", tmp_path / "masks.zip", "--no-progress")

    assert result.exit_code == 0, result.output
    assert "training cases  3" in result.stdout
    assert {path.name for path in raw.iterdir()} == {"Dataset101_ISIC"}


def test_damaged_archive_is_one_line(raw, tmp_path):
    (tmp_path / "images.zip").write_bytes(b"PK\x03\x04 and no more")

    result = run("isic", tmp_path / "images.zip", "--no-progress")

    assert result.exit_code == 1
    assert "images.zip: not a zip archive, or its end is missing; download it again" in result.stderr
    assert "Traceback" not in result.output


def test_challenge_of_zip_archives_is_taken_whole(draw_challenge, raw, tmp_path):
    root = draw_challenge(tmp_path / "challenge")
    for folder in list(root.iterdir()):
        shutil.make_archive(str(folder), "zip", root, folder.name)
        shutil.rmtree(folder)

    result = run("isic", root, "--no-progress")

    assert result.exit_code == 0, result.output
    assert "training cases  3" in result.stdout
    assert "test cases      3 (3 with masks)" in result.stdout
    assert "Note: test cases: ISIC-2017_Test_v2_Data.zip and ISIC-2017_Test_v2_Part1_GroundTruth.zip" in result.stderr
    assert {path.name for path in raw.iterdir()} == {"Dataset101_ISIC"}


@pytest.mark.parametrize("place", [".", "images", "images/deeper", "masks"])
@pytest.mark.parametrize("linked", [False, True])
def test_target_inside_the_sources_is_refused(source, tmp_path, place, linked):
    output = source / place
    if linked:
        (tmp_path / "link").symlink_to(source)
        output = tmp_path / "link" / place

    result = run("isic", source, "--no-progress", "--output", output)

    assert result.exit_code == 1
    assert "lies in the folder of images or masks" in result.stderr
    assert "--output" in result.stderr
    assert not list(source.rglob("Dataset*"))


def test_dry_run_of_faulty_data_ends_with_1_and_an_empty_standard_output(source, raw):
    (source / "masks" / "ISIC_1_segmentation.png").write_bytes(b"")

    result = run("isic", source, "--no-progress", "--dry-run")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "ISIC_1" in result.stderr
