"""Slices prepared for nnUNetv2_predict, and what it predicts on the way back to them."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.main import app
from nnunet_mamba.data.converters.lgg import LggOptions, convert_lgg, prepare_lgg_images
from nnunet_mamba.data.problems import InvalidDatasetError
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE
from nnunet_mamba.data.writing.run_options import RunOptions

SCANS = {"TCGA_CS_4941_19960909": 11, "TCGA_DU_A5TU_19980312": 3}
KINDS = pytest.mark.parametrize(
    "options",
    [{"slice_thickness": 6.0, "pixel_spacing": 0.9}, {"as_volumes": False}, {"as_volumes": False, "size": (12, 18)}],
    ids=["volumes", "slices", "resized"],
)


@pytest.fixture
def tree(tmp_path):
    rng = np.random.default_rng(0)
    for scan, n_slices in SCANS.items():
        folder = tmp_path / "kaggle_3m" / scan
        folder.mkdir(parents=True)
        for number in range(1, n_slices + 1):
            mask = np.zeros((24, 36), np.uint8)
            mask[4:16, 6 : 12 + number] = 255
            Image.fromarray(rng.integers(0, 255, (24, 36, 3), dtype=np.uint8)).save(folder / f"{scan}_{number}.tif")
            Image.fromarray(mask).save(folder / f"{scan}_{number}_mask.tif")
    return tmp_path / "kaggle_3m"


def remove_masks(tree):
    for path in tree.rglob("*_mask.tif"):
        path.unlink()


def images(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name.endswith((".png", ".nii.gz"))}


@KINDS
def test_they_are_the_images_of_a_training_byte_for_byte(tree, tmp_path, options):
    convert_lgg(tree, tmp_path / "raw", options=LggOptions(**options))
    remove_masks(tree)
    done = prepare_lgg_images(tree, tmp_path / "out", options=LggOptions(**options))
    assert (done.n_training, done.n_test) == (0, 2 if options.get("as_volumes", True) else 14)
    assert images(tmp_path / "out") == images(tmp_path / "raw" / "imagesTr")
    assert prepare_lgg_images(tree, tmp_path / "out", options=LggOptions(**options)).n_written == 0


@KINDS
def test_masks_beside_them_are_not_looked_at(tree, tmp_path, options):
    first = next(iter(SCANS))
    (tree / first / f"{first}_2_mask.tif").write_bytes(b"")
    (tree / first / f"{first}_12_mask.tif").write_bytes(b"")
    prepare_lgg_images(tree, tmp_path / "out", options=LggOptions(**options))
    record = json.loads((tmp_path / "out" / RECORD_FILE).read_text())
    assert not [name for case in record["cases"].values() for name in case["files"] if "mask" in name]
    (tree / first / f"{first}_2.tif").unlink()
    with pytest.raises(InvalidDatasetError, match="slice 2 is missing"):
        prepare_lgg_images(tree, tmp_path / "other", options=LggOptions(**options))
    assert not (tmp_path / "other").exists()


def test_a_patient_with_a_problem_is_left_out_on_request(tree, tmp_path):
    remove_masks(tree)
    (tree / "TCGA_CS_4941_19960909" / "TCGA_CS_4941_19960909_2.tif").write_bytes(b"")
    options = LggOptions(run=RunOptions(skip_invalid=True))
    done = prepare_lgg_images(tree, tmp_path / "out", options=options)
    assert [case.identifier for case in done.cases] == ["TCGA_DU_A5TU_19980312"]
    assert list(done.skipped) == ["TCGA_CS_4941_19960909"]


def test_other_options_than_before_are_refused(tree, tmp_path):
    prepare_lgg_images(tree, tmp_path / "out")
    with pytest.raises(FileExistsError, match=r"slice_thickness: the folder has 5.0, this run has 4.0"):
        prepare_lgg_images(tree, tmp_path / "out", options=LggOptions(slice_thickness=4.0))
    with pytest.raises(FileExistsError, match="images_only: the folder has True, this run has None"):
        convert_lgg(tree, tmp_path / "out")


def run(*arguments):
    result = CliRunner().invoke(app, [*map(str, arguments), "--no-progress"])
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize(
    ("arguments", "is_exact"),
    [(["--as", "volumes"], True), (["--as", "slices"], True), (["--as", "slices", "--size", "128"], False)],
    ids=["volumes", "slices", "resized"],
)
@pytest.mark.parametrize("sigmoid", [[], ["--sigmoid"]], ids=["softmax", "sigmoid"])
def test_what_is_predicted_comes_back_to_every_slice(tree, tmp_path, arguments, is_exact, sigmoid):
    """The labels of a training are what a perfect network predicts."""
    run("convert", "lgg", tree, *arguments, *sigmoid, "--output", tmp_path)
    predictions = tmp_path / "predictions"
    shutil.copytree(tmp_path / "Dataset103_LGG" / "labelsTr", predictions)
    shutil.copy(tmp_path / "Dataset103_LGG" / "dataset.json", predictions)
    masks = {
        path.relative_to(tree).as_posix().replace("_mask.tif", ".png"): np.asarray(Image.open(path))
        for path in tree.rglob("*_mask.tif")
    }
    remove_masks(tree)
    run("convert", "lgg", tree, *arguments, "--images-only", tmp_path / "images")
    shutil.rmtree(tree)
    run("restore", predictions, tmp_path / "images", "--output", tmp_path / "restored")
    found = {
        path.relative_to(tmp_path / "restored").as_posix(): np.asarray(Image.open(path))
        for path in (tmp_path / "restored").rglob("*.png")
    }
    assert found.keys() == masks.keys()
    for name, mask in masks.items():
        assert found[name].shape == mask.shape
        assert np.unique(found[name]).tolist() == [0, 255]
        assert np.mean(found[name] == mask) >= (1 if is_exact else 0.98), name
