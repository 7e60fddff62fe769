import json

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from nnunet_mamba.cli.convert import app

AFFINE = np.diag([-0.75, -0.75, 3.0, 1.0])
# Voxels of each organ in the order of the papers: aorta, gallbladder, kidneys, liver, pancreas, spleen, stomach.
SIZES = (90, 25, 160, 150, 1500, 80, 220, 350)


@pytest.fixture
def raw_data(tmp_path):
    source = tmp_path / "RawData"
    for number in (1, 5):
        image = np.random.default_rng(number).integers(-1024, 1000, (20, 20, 10)).astype(np.int16)
        label = np.resize(np.arange(14, dtype=np.uint8), image.shape)
        for name, voxels in (("img", image), ("label", label)):
            (source / name).mkdir(parents=True, exist_ok=True)
            nifti = nib.Nifti1Image(voxels, AFFINE)
            nifti.set_sform(AFFINE, 1)
            nib.save(nifti, source / name / f"{name}{number:04d}.nii.gz")
    return source


@pytest.fixture
def transunet(tmp_path):
    """One case whose organs are numbered alphabetically."""
    folder = tmp_path / "Synapse" / "train_npz"
    folder.mkdir(parents=True)
    label = np.zeros(4000, np.float32)
    label[: sum(SIZES)] = np.repeat(np.arange(1, 9), SIZES)
    image = np.random.default_rng(0).uniform(0, 1, label.shape).astype(np.float32)
    for number, (one, its_label) in enumerate(zip(image.reshape(4, 40, 25), label.reshape(4, 40, 25), strict=True)):
        np.savez(folder / f"case0005_slice{number:03d}.npz", image=one, label=its_label)
    return folder.parent


@pytest.fixture
def raw(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    return tmp_path / "raw"


def run(*arguments):
    return CliRunner().invoke(app, ["synapse", *map(str, arguments), "--no-progress"])


def test_ends_with_a_table_and_the_next_command(raw_data, raw):
    result = run(raw_data, "--organs", "13")
    assert result.exit_code == 0, result.output
    assert "training cases  2" in result.stdout
    assert str(raw / "Dataset104_Synapse") in result.stdout
    assert "nnUNetv2_plan_and_preprocess -d 104" in result.stdout
    assert '"left_adrenal_gland": 13' in (raw / "Dataset104_Synapse" / "dataset.json").read_text()


def test_options_reach_the_converter(transunet, raw):
    result = run(
        transunet, "--dataset-id", "7", "--name", "Mine", "--label-numbering", "alphabetical",
        "--slice-thickness", "5", "--pixel-spacing", "0.5",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    image = nib.load(raw / "Dataset007_Mine" / "imagesTr" / "case0005_0000.nii.gz")
    assert image.header.get_zooms() == (0.5, 0.5, 5)


def test_warns_of_the_wrong_numbering_and_not_of_the_right_one(transunet, raw):
    assert "Warning" not in run(transunet, "--label-numbering", "alphabetical", "--dry-run").stderr
    result = run(transunet, "--label-numbering", "btcv", "--dry-run")
    assert result.exit_code == 0
    assert "gallbladder larger than right kidney; pancreas larger than stomach" in result.stderr
    assert "--label-numbering" in result.stderr
    assert not (raw / "Dataset104_Synapse").exists()


def test_errors_are_texts(raw_data, transunet, raw):
    for arguments, code, text in (
        ((transunet,), 1, "give --label-numbering alphabetical"),
        ((raw_data, "--organs", "9"), 2, "--organs 9: expected 8 or 13"),
        ((raw_data, "--slice-thickness", "nan"), 2, "--slice-thickness nan: expected "),
        ((raw_data, "--split", "papers"), 2, "--split papers: expected one of five-fold, leave-one-out, "),
        ((raw_data, "--split", "synapse-18-12"), 1, "here are 2: 28 missing (case0002, case0003, "),
        ((raw_data / "nowhere",), 1, "is not a folder"),
    ):
        result = run(*arguments)
        assert result.exit_code == code
        assert result.stderr.startswith("Error: ")
        assert text in result.stderr
        assert not raw.exists()


def test_sigmoid_and_split_reach_the_converter(raw_data, raw):
    result = run(raw_data, "--sigmoid", "--organs", "13", "--split", "leave-one-out")
    assert result.exit_code == 0, result.output
    assert "leave-one-out, 2 folds (every group is held out once)" in result.stdout
    folder = raw / "Dataset104_Synapse"
    assert json.loads((folder / "dataset.json").read_text())["regions_class_order"] == list(range(1, 14))
    splits = json.loads((folder / "splits_final.json").read_text())
    assert splits == [{"train": ["case0005"], "val": ["case0001"]}, {"train": ["case0001"], "val": ["case0005"]}]


def test_prepares_images_alone(raw_data, tmp_path):
    result = run(raw_data / "img", "--images-only", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "out").glob("*_0000.nii.gz"))) == 2
    for option in (("--split", "leave-one-out"), ("--organs", "13"), ("--sigmoid",)):
        refused = run(raw_data / "img", "--images-only", tmp_path / "other", *option)
        assert refused.exit_code == 2
        assert "are for labelled" in refused.stderr
        assert not (tmp_path / "other").exists()
