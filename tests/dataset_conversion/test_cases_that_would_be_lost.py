"""Nothing that looks like a case is passed over without a word, by any conversion."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from nnunet_mamba.cli.convert import app
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE


@pytest.fixture
def run(tmp_path):
    def run(*arguments):
        options = ("--output", tmp_path / "raw", "--no-progress", "--jobs", 1)
        return CliRunner().invoke(app, [str(one) for one in (*arguments, *options)])

    return run


def words(text):
    return " ".join(text.replace("│", " ").split())


def photograph(number):
    return Image.fromarray(np.random.default_rng(number).integers(0, 255, (64, 96, 3), dtype=np.uint8))


def lesion(number):
    image = Image.new("L", (96, 64))
    ImageDraw.Draw(image).ellipse((20, 10 + number, 60, 50), fill=255)
    return image


@pytest.fixture
def patients(tmp_path):
    for number in range(4):
        folder = tmp_path / "data" / f"p{number}"
        folder.mkdir(parents=True)
        photograph(number).save(folder / "a.png")
        lesion(number).save(folder / "a_mask.png")
    return tmp_path / "data"


PATIENTS = ("--image-pattern", "{group}/{case}", "--mask-pattern", "{group}/{case}_mask")


@pytest.fixture
def ph2(tmp_path):
    for number in range(4):
        name = f"IMD00{number}"
        base = tmp_path / "PH2Dataset" / "PH2 Dataset images" / name
        (base / f"{name}_Dermoscopic_Image").mkdir(parents=True)
        (base / f"{name}_lesion").mkdir()
        photograph(number).save(base / f"{name}_Dermoscopic_Image" / f"{name}.bmp")
        lesion(number).convert("1").save(base / f"{name}_lesion" / f"{name}_lesion.bmp")
    return tmp_path / "PH2Dataset"


@pytest.fixture
def lgg(tmp_path):
    for number in range(3):
        scan = f"TCGA_CS_494{number}_19960909"
        folder = tmp_path / "kaggle_3m" / scan
        folder.mkdir(parents=True)
        for index in range(1, 4):
            pixels = np.random.default_rng([number, index]).integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{scan}_{index}.tif")
            mask = np.zeros((16, 16), np.uint8)
            mask[4:9, 4:9] = 255
            Image.fromarray(mask).save(folder / f"{scan}_{index}_mask.tif")
    return tmp_path / "kaggle_3m"


@pytest.fixture
def synapse(tmp_path):
    for kind in ("img", "label"):
        (tmp_path / "RawData" / "Training" / kind).mkdir(parents=True)
    for number in range(1, 4):
        folder = tmp_path / "RawData" / "Training"
        voxels = np.random.default_rng(number).integers(-900, 900, (8, 9, 7), dtype=np.int16)
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / "img" / f"img000{number}.nii.gz")
        organs = np.resize(np.arange(14, dtype=np.uint8), (8, 9, 7))
        nib.save(nib.Nifti1Image(organs, np.eye(4)), folder / "label" / f"label000{number}.nii.gz")
    return tmp_path / "RawData"


def moved(folder, store):
    """Move a folder to another place and leave a link."""
    store.mkdir(exist_ok=True)
    shutil.move(folder, store / folder.name)
    folder.symlink_to(store / folder.name)


@pytest.mark.parametrize("kind", ["folder", "ph2", "lgg"])
def test_linked_folders_are_converted_and_lost_ones_told(request, run, tmp_path, kind):
    source = request.getfixturevalue({"folder": "patients"}.get(kind, kind))
    options = {"folder": PATIENTS, "ph2": ("--size", "original")}.get(kind, ())
    tree = source / "PH2 Dataset images" if kind == "ph2" else source
    first, second, *others = sorted(tree.iterdir())
    moved(first, tmp_path / "store")
    moved(second, tmp_path / "store")
    result = run(kind, source, *options)
    assert result.exit_code == 0, result.output
    assert f"training cases  {2 + len(others)}" in result.stdout

    shutil.rmtree(tmp_path / "raw")
    shutil.rmtree(tmp_path / "store" / second.name)
    result = run(kind, source, *options)
    assert result.exit_code == 1
    assert f"{second.name} a link to" in words(result.stderr)
    assert "which is not there, expected a folder" in words(result.stderr)
    assert f"training cases  {1 + len(others)}" in run(kind, source, *options, "--skip-invalid").stdout


def test_original_files_win_over_copies_for_ph2_and_isic(run, ph2, tmp_path):
    for file in sorted(ph2.rglob("*_lesion.bmp")):
        Image.open(file).convert("L").save(file.with_suffix(".jpg"))
    result = run("ph2", ph2)
    assert result.exit_code == 0, result.output
    assert "Note: 4 .jpg masks are copies of a .bmp file of the same name, which is taken" in result.stderr
    record = json.loads((tmp_path / "raw" / "Dataset102_PH2" / RECORD_FILE).read_text())
    assert all(case["files"][-1].endswith(".bmp") for case in record["cases"].values())


def test_pictures_that_cannot_be_read_are_told(run, patients):
    (patients / "p3" / "a.png").rename(patients / "p3" / "a.heic")
    (patients / "p3" / "a_mask.png").rename(patients / "p3" / "a_mask.heic")
    result = run("folder", patients, *PATIENTS)
    assert result.exit_code == 1
    assert ".heic files cannot be read, so this image would be missing" in words(result.stderr)
    # A picture of the same name that can be read says that nothing is missing.
    photograph(3).save(patients / "p3" / "a.png")
    lesion(3).save(patients / "p3" / "a_mask.png")
    assert run("folder", patients, *PATIENTS).exit_code == 0


def test_ending_that_cannot_be_read_is_named_where_nothing_else_fits(run, patients):
    for number in range(4):
        (patients / f"p{number}" / "a_mask.png").rename(patients / f"p{number}" / "a_mask.psd")
    result = run(
        "folder", patients, "--image-pattern", "{group}/{case}.png", "--mask-pattern", "{group}/{case}_mask.psd"
    )
    assert result.exit_code == 1
    assert "fits a_mask.psd, but files of this ending cannot be read (4 .psd)" in result.stderr


@pytest.mark.parametrize("kind", ["folder", "isic"])
def test_names_that_end_as_labels_do_are_refused(run, tmp_path, kind):
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for number, name in enumerate(("scan", "scan_seg", "b")):
        photograph(number).save(tmp_path / "data" / "images" / f"{name}.png")
        lesion(number).save(tmp_path / "data" / "masks" / f"{name}.png")
    result = run(kind, tmp_path / "data")
    assert result.exit_code == 1
    assert "scan_seg" in result.stderr
    assert "its name ends with _seg" in words(result.stderr)
    assert "training cases  2" in run(kind, tmp_path / "data", "--skip-invalid").stdout


def test_slices_of_another_format_are_told(run, lgg):
    scan = "TCGA_CS_4941_19960909"
    for suffix in ("", "_mask"):
        file = lgg / scan / f"{scan}_3{suffix}.tif"
        Image.open(file).save(file.with_suffix(".png"))
        file.unlink()
    result = run("lgg", lgg)
    assert result.exit_code == 1
    assert "a slice that is no TIFF file, expected one" in words(result.stderr)


@pytest.mark.parametrize("name", ["img0004.NII.GZ", "img0004.nrrd", "IMG0004.nii"])
def test_images_called_otherwise_are_told(run, synapse, name):
    (synapse / "Training" / "img" / name).write_bytes(b"x")
    result = run("synapse", synapse)
    assert result.exit_code == 1
    assert "name without a case" in words(result.stderr)


def test_links_to_a_pair_that_is_gone_are_told(run, synapse):
    for kind in ("img", "label"):
        (synapse / "Training" / kind / f"{kind}0003.nii.gz").unlink()
        (synapse / "Training" / kind / f"{kind}0003.nii.gz").symlink_to("gone.nii.gz")
    result = run("synapse", synapse)
    assert result.exit_code == 1
    assert "case0003" in result.stderr


def test_left_out_masks_and_images_without_masks_are_counted(run, patients):
    (patients / "p0" / "a_mask.png").unlink()
    (patients / "p1" / "a.png").unlink()
    result = run("folder", patients, *PATIENTS, "--allow-missing-masks", "--allow-missing-images")
    assert result.exit_code == 0, result.output
    assert "Note: 1 of 3 images have no mask, such as " in result.stderr
    assert "Note: 1 masks without an image are left out, such as " in result.stderr


def test_nothing_left_is_said_without_advice_that_was_followed(run, patients):
    for file in patients.rglob("*_mask.png"):
        file.write_bytes(b"")
    result = run("folder", patients, *PATIENTS, "--skip-invalid")
    assert result.exit_code == 1
    assert "leave these cases out" not in result.stderr
    assert "--skip-invalid would leave no training case" in result.stderr


def test_pictures_that_fit_no_pattern_are_counted(run, patients):
    photograph(9).save(patients / "p0" / "overview.jpg")
    (patients / "p0" / "deeper").mkdir()
    photograph(8).save(patients / "p0" / "deeper" / "b.png")
    result = run(
        "folder", patients, "--image-pattern", "{group}/{case}.png", "--mask-pattern", "{group}/{case}_mask.png"
    )
    assert result.exit_code == 0, result.output
    assert "Note: 2 pictures or volumes fit no pattern and are not taken, such as " in result.stderr
    assert "deeper/b.png" in result.stderr
