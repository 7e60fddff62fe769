import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app

PLAIN = {"NO_COLOR": "1", "COLUMNS": "200"}


@pytest.fixture(autouse=True)
def _no_folders_of_nnunet(monkeypatch):
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.png"):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def predict(tmp_path):
    """Run the command with a new process's streams, and return its result."""

    def run(*arguments):
        options = ["-o", str(tmp_path / "out"), "--device", "cpu", "--no-progress"]
        return CliRunner(env=PLAIN).invoke(app, ["predict", *map(str, arguments), *options])

    return run


def test_a_model_file_gives_masks_overlays_and_figures(predict, photographs, packed, tmp_path):
    report = tmp_path / "report.json"
    result = predict(photographs, "-m", packed(), "--overlay", "--statistics", "--report", report)
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(f":\n{tmp_path / 'out'}\n")
    assert "2 of 2 images have masks, 2 of them written by this run" in result.stdout
    assert Image.open(tmp_path / "out/a.png").size == (50, 40)
    assert Image.open(tmp_path / "out/overlays/b.jpg")
    assert (tmp_path / "out/statistics.csv").is_file()
    assert json.loads(report.read_text())["written_by_this_run"] == 2


def test_a_data_set_gives_its_trained_model(predict, photographs, trained, monkeypatch):
    folder = trained()
    monkeypatch.setenv("nnUNet_results", str(folder.parent.parent))
    for options in ((), ("-tr", "nnUNetTrainerUltraLightVM", "-c", "2d", "-p", "nnUNetPlans", "-f", "0")):
        result = predict(photographs, "-d", "901", *options)
        assert result.exit_code == 0, result.output
        assert "does not tell how the images of Dataset901_Tiny were converted" in result.stderr


def test_an_image_that_fails_is_told_and_decides_the_exit_status(predict, photographs, packed):
    (photographs / "damaged.jpg").write_bytes(b"no image")
    result = predict(photographs, "-m", packed())
    assert result.exit_code == 1
    assert "2 of 3 images have masks" in result.stdout
    assert re.search(r"^Not predicted: .*damaged\.jpg: ", result.stderr, re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ((), 2, "name one model: --model NAME"),
        (("-m", "isic", "-d", "101"), 2, "name one model"),
        (("-m", "x", "--part", "5/4"), 2, "--part '5/4': expected a share such as 3/16"),
        (("-m", "x", "-tr", "nnUNetTrainer"), 2, "-tr, -c and -p choose among the models of a data set"),
        (("-m", "x", "-f", "one"), 2, "expected numbers such as 0,1, or all"),
        (("-m", "~/model.zip"), 2, "stands for the home folder in a shell only"),
        (("-m", "ultralight-isik"), 1, "there is no model 'ultralight-isik'"),
        (("-d", "101"), 1, "nnUNet_results is not set"),
    ],
)
def test_wrong_words_are_one_sentence(predict, photographs, options, code, text):
    result = predict(photographs, *options)
    assert result.exit_code == code
    assert text in result.stderr
    assert "Traceback" not in result.output


def test_a_fold_that_is_not_there_is_told(predict, photographs, packed):
    result = predict(photographs, "-m", packed(), "-f", "3")
    assert result.exit_code == 1
    assert "has no fold 3, but 0; choose among them with --folds" in result.stderr


def test_an_output_among_the_images_is_told(photographs, packed):
    command = ["predict", str(photographs), "-o", str(photographs / "out"), "-m", str(packed())]
    result = CliRunner(env=PLAIN).invoke(app, command)
    assert result.exit_code == 1
    assert "choose another --output" in result.stderr


def test_a_process_that_predicts_a_photograph_imports_neither_nnunet_nor_what_it_does_not_need(
    photographs, packed, tmp_path
):
    code = f"""
import sys
from nnunet_mamba.cli.main import app
try:
    app(["predict", {str(photographs)!r}, "-o", {str(tmp_path / "out")!r}, "-m", {str(packed())!r}, "--device", "cpu"])
except SystemExit as end:
    print("exit", end.code)
needless = "nnunetv2 skimage pandas matplotlib SimpleITK nibabel scipy.ndimage scipy.linalg sympy rich contourpy"
print("imported", [name for name in needless.split() if name in sys.modules])
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "exit 0" in process.stdout, process.stderr
    assert "imported []" in process.stdout
    assert re.fullmatch(r"Note: \S+ does not tell how .*\n", process.stderr)


def test_a_part_without_images_is_told_and_ends_well(predict, photographs, packed):
    result = predict(photographs, "-m", packed(), "--part", "200/300")
    assert result.exit_code == 0, result.output
    assert result.stdout == "Part 200/300 has no image to predict; images in all: 2.\n"


def test_a_report_takes_the_place_of_no_other_file(predict, photographs):
    before = (photographs / "a.jpg").read_bytes()
    for report in (photographs, photographs / "a.jpg"):
        result = predict(photographs, "-m", "x", "--report", report)
        assert result.exit_code == 2
        assert f"--report {report}" in result.stderr
    assert (photographs / "a.jpg").read_bytes() == before
