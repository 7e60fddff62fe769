import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.convert import app


@pytest.fixture
def source(tmp_path):
    rng = np.random.default_rng(0)
    for scan in ("TCGA_CS_4941_19960909", "TCGA_DU_A5TU_19980312"):
        folder = tmp_path / "lgg" / "kaggle_3m" / scan
        folder.mkdir(parents=True)
        for number in (1, 2):
            pixels = rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)
            pixels[..., 0] = pixels[..., 1]
            Image.fromarray(pixels).save(folder / f"{scan}_{number}.tif")
            mask = np.zeros((20, 30), np.uint8)
            mask[5:15, 5:20] = 255
            Image.fromarray(mask).save(folder / f"{scan}_{number}_mask.tif")
    return tmp_path / "lgg"


@pytest.fixture
def raw(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    return tmp_path / "raw"


def run(*arguments):
    return CliRunner().invoke(app, ["lgg", *(str(argument) for argument in arguments)])


def test_tells_what_it_made_and_what_was_missing(source, raw):
    result = run(source, "--no-progress")
    assert result.exit_code == 0, result.output
    assert "missing, with FLAIR in their place, also in missing_sequences.csv:\n" in result.stdout
    assert "  TCGA_CS_4941_19960909  pre-contrast\n  TCGA_DU_A5TU_19980312  pre-contrast\n" in result.stdout
    assert "training cases  2" in result.stdout
    assert "5 x 1 x 1 mm" in result.stdout
    assert "holds the same files" not in result.output
    assert "  nnUNetv2_plan_and_preprocess -d 103 -c 2d 3d_fullres --verify_dataset_integrity\n" in result.stdout
    assert "  nnunet-mamba plan 103 --trainers nnUNetTrainerUMambaBot\n" in result.stdout
    assert len(list((raw / "Dataset103_LGG" / "imagesTr").iterdir())) == 6
    again = run(source, "--no-progress")
    assert "nothing to do, the folder was complete" in again.stdout
    assert "TCGA_CS_4941_19960909  pre-contrast" in again.stdout


def test_says_that_a_tree_was_there_twice(source, raw):
    shutil.copytree(source / "kaggle_3m", source / "lgg-mri-segmentation" / "kaggle_3m")
    result = run(source, "--no-progress")
    assert result.exit_code == 0, result.output
    assert f"{source / 'lgg-mri-segmentation' / 'kaggle_3m'} holds the same files as" in result.stderr
    assert "training cases  2" in result.stdout


def test_options_of_slices_reach_the_converter(source, tmp_path, monkeypatch):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    result = run(
        source, "--as", "slices", "--output", tmp_path / "out", "--dataset-id", "7", "--name", "Mine", "--size", "8x16",
        "--sigmoid", "--jobs", "1", "--no-progress",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    folder = tmp_path / "out" / "Dataset007_Mine"
    assert Image.open(folder / "imagesTr" / "TCGA_CS_4941_19960909_001_0000.png").size == (16, 8)
    assert '"regions_class_order"' in (folder / "dataset.json").read_text()
    assert "3d_fullres" not in result.stdout


def test_options_of_volumes_reach_the_converter(source, raw):
    result = run(source, "--slice-thickness", "6.5", "--pixel-spacing", "0.9375", "--no-progress")
    assert result.exit_code == 0, result.output
    assert "6.5 x 0.9375 x 0.9375 mm (z, y, x)" in result.stdout
    record = (raw / "Dataset103_LGG" / "nnunet_mamba_conversion.json").read_text()
    assert '"slice_thickness": 6.5' in record
    assert '"pixel_spacing": 0.9375' in record


@pytest.mark.parametrize(
    ("arguments", "n_cases", "n_files"), [(["--as", "volumes"], 2, 6), (["--as", "slices", "--size", "8x16"], 4, 4)]
)
def test_prepares_images_alone(source, tmp_path, arguments, n_cases, n_files):
    for mask in source.rglob("*_mask.tif"):
        mask.unlink()
    result = run(source, *arguments, "--images-only", tmp_path / "out", "--dataset-id", "7", "--no-progress")
    assert result.exit_code == 0, result.output
    assert "  TCGA_CS_4941_19960909  pre-contrast\n" in result.stdout
    assert f"images   {n_cases}\n" in result.stdout
    assert f"nnUNetv2_predict -i {tmp_path / 'out'} -o {tmp_path / 'out_masks'} -d 7" in result.stdout
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(files) == n_files + 1
    assert "missing_sequences.csv" not in files + result.stdout.split()


def test_dry_run_writes_nothing(source, raw):
    result = run(source, "--dry-run", "--no-progress")
    assert result.exit_code == 0, result.output
    assert "TCGA_CS_4941_19960909  pre-contrast" in result.stdout
    assert "plan_and_preprocess" not in result.stdout
    assert not raw.exists()


def test_problems_are_listed_and_can_be_left_out(source, raw, tmp_path):
    (source / "kaggle_3m" / "TCGA_CS_4941_19960909" / "TCGA_CS_4941_19960909_2.tif").write_bytes(b"")
    result = run(source, "--no-progress", "--report", tmp_path / "problems.csv")
    assert result.exit_code == 1
    assert "TCGA_CS_4941_19960909" in result.stderr
    assert "the file is empty" in result.stderr
    assert "TCGA_CS_4941_19960909_2.tif" in (tmp_path / "problems.csv").read_text()
    assert not (raw / "Dataset103_LGG").exists()
    result = run(source, "--no-progress", "--skip-invalid")
    assert result.exit_code == 0, result.output
    assert "training cases  1" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nowhere"], 1, "nowhere is not a folder; expected kaggle_3m"),
        (["{source}", "--slice-thickness", "0"], 2, "--slice-thickness 0: expected more than 0, 100 mm at most"),
        (["{source}", "--as", "slices", "--size", "big"], 2, "size 'big': expected"),
        (["{source}", "--size", "128"], 2, "--size 128x128 is for --as slices; nnU-Net brings volumes to one spacing"),
        (["{source}", "--images-only", "{source}/out", "--sigmoid"], 2, "--sigmoid and --split are for labelled cases"),
        (["{source}", "--images-only", "{source}/out", "--split", "lgg-by-slice"], 2, "are for labelled cases"),
        (["{source}", "--split", "random"], 2, "--split random: expected one of five-fold"),
        (["{source}", "--as", "slices", "--pixel-spacing", "1"], 2, "are for --as volumes"),
    ],
)
def test_wrong_arguments_are_explained(source, raw, arguments, code, text):
    result = run(*[argument.format(source=source) for argument in arguments])
    assert result.exit_code == code
    assert text in " ".join(result.stderr.replace("│", "").split())
    assert not (raw / "Dataset103_LGG").exists()
