"""Images with several masks that nobody spoke of: joined only where that cannot be wrong."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.convert import app


def mask(*boxes, shape=(30, 40), value=255):
    pixels = np.zeros(shape, np.uint8)
    for top, left in boxes:
        pixels[top : top + 6, left : left + 6] = value
    return Image.fromarray(pixels)


def noise(seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (30, 40, 3), dtype=np.uint8))


@pytest.fixture
def data(tmp_path):
    """Three images, of which the second has two masks that do not overlap."""
    folder = tmp_path / "data"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in (1, 2, 3):
        noise(number).save(folder / "images" / f"p{number}.png")
        mask((2, 2 + number)).save(folder / "masks" / f"p{number}_mask.png")
    mask((12, 12)).save(folder / "masks" / "p2_mask_1.png")
    return folder


@pytest.fixture
def run(tmp_path):
    def run(source, *options):
        arguments = ("folder", source, "--output", tmp_path / "raw", "--no-progress", "--jobs", 1, *options)
        return CliRunner().invoke(app, [str(one) for one in arguments])

    return run


def words(text):
    return " ".join(text.replace("│", " ").split())


ONE = ("--image-pattern", "images/{case}.png", "--mask-pattern", "masks/{case}_mask.png")
ALL = (*ONE[:3], "masks/{case}_mask*.png")


def label(tmp_path, name):
    return Image.open(tmp_path / "raw" / "Dataset105_Folder" / "labelsTr" / f"{name}.png")


@pytest.mark.parametrize("patterns", [ONE, ALL])
def test_overlapping_masks_are_refused_with_advice_that_works(data, run, tmp_path, patterns):
    mask((4, 6)).save(data / "masks" / "p2_mask_1.png")
    result = run(data, *patterns)
    assert result.exit_code == 1
    assert "8 pixels are marked in p2_mask.png, too" not in result.stderr
    assert "16 pixels are marked in p2_mask.png, too" in words(result.stderr)
    assert "--join-masks joins these, too" in words(result.stderr)
    assert not (tmp_path / "raw").exists()
    assert run(data, *patterns, "--join-masks").exit_code == 0
    expected = np.asarray(mask((2, 4), (4, 6))) // 255
    assert np.array_equal(np.asarray(label(tmp_path, "p2")), expected)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (mask((12, 12), shape=(30, 41)), "expected the same; if p2_mask_1.png is no mask of this image, move it away"),
        (mask((12, 12), value=7), "if p2_mask_1.png is no mask of this image, move it away"),
        (noise(9), "if p2_mask_1.png is no mask of this image, move it away"),
    ],
)
def test_what_is_no_mask_of_the_same_kind_is_not_joined(data, run, other, text):
    other.save(data / "masks" / "p2_mask_1.png")
    result = run(data, *ONE)
    assert result.exit_code == 1
    assert text in words(result.stderr)
    (data / "masks" / "p2_mask_1.png").unlink()
    assert run(data, *ONE).exit_code == 0


def test_masks_of_different_labels_are_not_joined_unasked(data, run, tmp_path):
    (tmp_path / "labels.json").write_text('{"background": 0, "a": 255, "b": 100}')
    mask((12, 12), value=100).save(data / "masks" / "p2_mask_1.png")
    options = (*ONE, "--labels", tmp_path / "labels.json")
    result = run(data, *options)
    assert result.exit_code == 1
    assert "it and p2_mask.png mark different labels" in words(result.stderr)
    assert run(data, *options, "--join-masks").exit_code == 0
    assert np.unique(np.asarray(label(tmp_path, "p2"))).tolist() == [0, 1, 2]


def test_masks_in_several_folders_are_not_joined_unasked(data, run):
    (data / "masks" / "other").mkdir()
    mask((20, 20)).save(data / "masks" / "other" / "p1_mask.png")
    result = run(data, *ONE[:3], "masks/**/{case}_mask*.png")
    assert result.exit_code == 1
    assert "2 masks for one case, expected one" in words(result.stderr)


def test_files_that_are_called_alike_but_for_their_ending_are_not_joined_unasked(data, run):
    mask((20, 20)).save(data / "masks" / "p1_mask.tif")
    result = run(data, *ONE[:3], "masks/{case}_mask")
    assert result.exit_code == 1
    assert "2 masks for one case, expected one" in words(result.stderr)


def test_a_numbered_mask_that_may_be_of_a_missing_image_is_not_joined_unasked(data, run):
    for path in (data / "masks").iterdir():
        path.rename(path.with_name(path.name.replace("_mask", "")))
    result = run(data)
    assert result.exit_code == 1
    assert "p2_1.png lies beside its mask and is not used" in words(result.stderr)
    assert run(data, "--join-masks").exit_code == 0


def test_volumes_of_one_label_are_joined_within_it(tmp_path, run):
    for number in (1, 2):
        folder = tmp_path / "data" / f"s{number}"
        folder.mkdir(parents=True)
        voxels = np.random.default_rng(number).integers(0, 900, (6, 7, 8), dtype=np.int16)
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / "ct.nii.gz")
        for name, slab in (("liver_mask", slice(0, 4)), ("node_mask", slice(3, 5)), ("node_mask_2", slice(5, 6))):
            voxels = np.zeros((6, 7, 8), np.uint8)
            voxels[slab] = 1
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / f"{name}.nii.gz")
    options = ("--image-pattern", "{case}/ct.nii.gz", "--mask-pattern", "{case}/{label}_mask.nii.gz")
    result = run(tmp_path / "data", *options)
    assert result.exit_code == 0, result.output
    assert "2 images have several masks that mark different places" in result.stderr
    written = nib.load(tmp_path / "raw" / "Dataset105_Folder" / "labelsTr" / "s1.nii.gz").get_fdata()
    assert written[:, 0, 0].tolist() == [1, 1, 1, 2, 2, 2]


def test_images_only_takes_no_word_about_masks(data, run, tmp_path):
    for option in ("--join-masks", "--no-join-masks"):
        assert run(data / "images", "--images-only", tmp_path / "out", option).exit_code == 2


@pytest.mark.parametrize("name", ["p2_mask_left", "p2_mask - Copy", "p2_mask_20250101"])
def test_an_image_that_is_called_as_a_mask_is_a_problem_of_the_masks_image(data, run, tmp_path, name):
    for path in (data / "masks").iterdir():
        path.rename(data / "images" / path.name)
    (data / "images" / "p2_mask_1.png").rename(data / "images" / f"{name}.png")
    options = ("--image-pattern", "images/{case}.png", "--mask-pattern", "images/{case}_mask.png")
    result = run(data, *options)
    assert result.exit_code == 1
    assert f"{name}.png lies beside its mask and is not used" in words(result.stderr)
    assert "--allow-missing-masks" not in result.stderr
    assert run(data, *options, "--join-masks").exit_code == 0
    expected = np.asarray(mask((2, 4), (12, 12))) // 255
    assert np.array_equal(np.asarray(label(tmp_path, "p2")), expected)


def test_a_letter_tells_a_second_mask_from_the_first(data, run, tmp_path):
    (data / "masks" / "p2_mask_1.png").rename(data / "masks" / "p2_mask_b.png")
    assert run(data, *ONE).exit_code == 0
    assert np.array_equal(np.asarray(label(tmp_path, "p2")), np.asarray(mask((2, 4), (12, 12))) // 255)


def test_files_of_one_label_with_other_values_and_capitals(tmp_path, run):
    for number, name, value in ((1, "liver", 1), (2, "Liver", 255)):
        folder = tmp_path / "data" / f"s{number}"
        folder.mkdir(parents=True)
        voxels = np.random.default_rng(number).integers(0, 900, (6, 7, 8), dtype=np.int16)
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / "ct.nii.gz")
        voxels = np.zeros((6, 7, 8), np.uint8)
        voxels[:3] = value
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / f"{name}_mask.nii.gz")
    options = ("--image-pattern", "{case}/ct.nii.gz", "--mask-pattern", "{case}/{label}_mask.nii.gz")
    result = run(tmp_path / "data", *options)
    assert result.exit_code == 1
    assert "--labels" not in result.stderr
    assert "take all that is above 0 for the label with --threshold 0" in words(result.stderr)
    assert run(tmp_path / "data", *options, "--threshold", 0).exit_code == 0
