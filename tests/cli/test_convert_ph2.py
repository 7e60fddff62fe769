import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.convert import app


@pytest.fixture
def source(tmp_path):
    for number, identifier in enumerate(("IMD002", "IMD003")):
        case = tmp_path / "PH2Dataset" / "PH2 Dataset images" / identifier
        for folder in ("Dermoscopic_Image", "lesion"):
            (case / f"{identifier}_{folder}").mkdir(parents=True)
        noise = np.random.default_rng(number).integers(0, 255, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).save(case / f"{identifier}_Dermoscopic_Image" / f"{identifier}.bmp")
        lesion = np.zeros((20, 30), bool)
        lesion[5:15, 5:20] = True
        Image.fromarray(lesion).save(case / f"{identifier}_lesion" / f"{identifier}_lesion.bmp")
    return tmp_path / "PH2Dataset"


@pytest.fixture
def raw(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    return tmp_path / "raw"


def run(*arguments):
    return CliRunner().invoke(app, ["ph2", *[str(argument) for argument in arguments], "--no-progress"])


def test_ends_with_a_table_and_the_next_command(source, raw):
    result = run(source)
    assert result.exit_code == 0, result.output
    assert "training cases  2" in result.stdout
    assert str(raw / "Dataset102_PH2") in result.stdout
    assert "  nnUNetv2_plan_and_preprocess -d 102 -c 2d --verify_dataset_integrity\n" in result.stdout
    assert "  nnunet-mamba plan 102 --trainers nnUNetTrainerUltraLightVM\n" in result.stdout


def test_options_reach_the_converter(source, tmp_path):
    result = run(
        source, "--size", "8x16", "--sigmoid", "--output", tmp_path, "--dataset-id", "7", "--name", "Mine", "--jobs", 1
    )
    assert result.exit_code == 0, result.output
    assert Image.open(tmp_path / "Dataset007_Mine" / "imagesTr" / "IMD002_0000.png").size == (16, 8)
    assert '"regions_class_order"' in (tmp_path / "Dataset007_Mine" / "dataset.json").read_text()


def test_as_test_ends_with_prediction_and_evaluation(source, raw):
    result = run(source, "--as-test")
    assert result.exit_code == 0, result.output
    images, labels = (raw / "Dataset102_PH2" / name for name in ("imagesTs", "labelsTs"))
    assert f"nnUNetv2_predict -i {images} -o {images}_masks -d 101" in result.stdout
    assert f"nnunet-mamba evaluate {images}_masks {labels}" in result.stdout
    assert "plan_and_preprocess" not in result.stdout
    assert len(list(labels.iterdir())) == 2


def test_dry_run_writes_nothing(source, raw):
    result = run(source, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "IMD002" in result.stdout
    assert not raw.exists()


def test_folder_that_is_not_ph2_is_explained(tmp_path, raw):
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "give the folder that PH2Dataset.rar was unpacked to" in result.stderr


def test_images_only_writes_the_input_of_a_prediction(source, tmp_path):
    result = run(source, "--images-only", tmp_path / "new")
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "new").glob("*.png"))) == 2
    assert run(source, "--images-only", tmp_path / "new", "--as-test").exit_code == 2
