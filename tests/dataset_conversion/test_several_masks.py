"""Images with several masks: one file for each lesion, or for each structure."""

import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.convert import app
from nnunet_mamba.cli.restore import restore
from nnunet_mamba.data.writing.conversion_record import RECORD_FILE


def mask(*boxes, shape=(30, 40)):
    pixels = np.zeros(shape, np.uint8)
    for top, left in boxes:
        pixels[top : top + 6, left : left + 6] = 255
    return Image.fromarray(pixels)


@pytest.fixture
def lesions(tmp_path):
    """Photographs in BUSI's layout; "benign (2)" has three masks of one lesion each."""
    folder = tmp_path / "busi" / "benign"
    folder.mkdir(parents=True)
    for number in (1, 2, 3):
        noise = np.random.default_rng(number).integers(0, 255, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"benign ({number}).png")
        mask((2, 2 + number)).save(folder / f"benign ({number})_mask.png")
    mask((12, 12)).save(folder / "benign (2)_mask_1.png")
    mask((20, 30)).save(folder / "benign (2)_mask_10.png")
    return tmp_path / "busi"


@pytest.fixture
def run(tmp_path):
    def run(source, *options):
        arguments = ("folder", source, "--output", tmp_path / "raw", "--no-progress", "--jobs", 1, *options)
        return CliRunner().invoke(app, [str(one) for one in arguments])

    return run


def words(text):
    return " ".join(text.replace("│", " ").split())


ONE = ("--image-pattern", "*/{case}.png", "--mask-pattern", "*/{case}_mask.png")
ALL = ("--image-pattern", "*/{case}.png", "--mask-pattern", "*/{case}_mask*.png")


def test_masks_that_a_pattern_leaves_out_are_told_of_the_image_that_they_are_of(lesions, run, tmp_path):
    result = run(lesions, *ONE, "--no-join-masks", "--report", tmp_path / "problems.csv")
    assert result.exit_code == 1
    assert "benign (2)_mask_1.png, benign (2)_mask_10.png lie beside its mask and are not used" in words(result.stderr)
    assert "--join-masks makes one label of all of them" in words(result.stderr)
    rows = (tmp_path / "problems.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["benign (2)"]


def test_the_image_is_left_out_and_not_its_masks(lesions, run, tmp_path):
    result = run(lesions, *ONE, "--no-join-masks", "--skip-invalid")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "raw" / "Dataset105_Folder" / RECORD_FILE).read_text())
    assert list(record["skipped"]) == ["benign (2)"]
    assert list(record["cases"]) == ["benign (1)", "benign (3)"]


def test_several_masks_are_refused_with_advice_that_loses_none(lesions, run):
    result = run(lesions, *ALL, "--no-join-masks")
    assert result.exit_code == 1
    assert "3 masks for one case, expected one" in words(result.stderr)
    assert "--join-masks" in words(result.stderr)
    assert "narrow" not in result.stderr


@pytest.mark.parametrize("options", [[*ALL, "--join-masks"], ALL, ONE, [*ONE, "--join-masks"]])
def test_joined_masks_are_one_label_which_restore_brings_back(lesions, run, tmp_path, options):
    result = run(lesions, *options)
    assert result.exit_code == 0, result.output
    assert ("1 image has several masks that mark different places" in result.stderr) is ("--join-masks" not in options)
    assert "fit no pattern" not in result.stderr
    raw = tmp_path / "raw" / "Dataset105_Folder"
    expected = np.asarray(mask((2, 4), (12, 12), (20, 30))) // 255
    assert np.array_equal(np.asarray(Image.open(raw / "labelsTr" / "benign (2).png")), expected)
    assert np.array_equal(np.asarray(Image.open(raw / "labelsTr" / "benign (1).png")), np.asarray(mask((2, 3))) // 255)
    for others in ([*ALL, "--join-masks"], ALL, ONE):
        assert run(lesions, *others).stdout.count("nothing to do") == 1

    command = typer_app(restore)
    back = tmp_path / "back"
    arguments = [raw / "labelsTr", raw, "--output", back, "--check", "--no-progress", "--jobs", 1]
    restored = CliRunner().invoke(command, [str(one) for one in arguments])
    assert restored.exit_code == 0, restored.output
    assert np.array_equal(np.asarray(Image.open(back / "benign (2).png")), expected * 255)
    assert "benign (2): its mask is in several files" in restored.stdout


def typer_app(command):
    import typer

    app = typer.Typer()
    app.command()(command)
    return app


def test_one_of_several_masks_may_be_empty_but_not_all(lesions, run):
    mask().save(lesions / "benign" / "benign (2)_mask_1.png")
    assert run(lesions, *ALL, "--join-masks", "--dry-run").exit_code == 0
    for name in ("", "_10"):
        mask().save(lesions / "benign" / f"benign (2)_mask{name}.png")
    result = run(lesions, *ALL, "--join-masks", "--dry-run")
    assert result.exit_code == 1
    assert "empty masks: every pixel of all of them is background" in words(result.stderr)


def test_a_mask_of_another_size_is_named(lesions, run):
    mask((1, 1), shape=(30, 41)).save(lesions / "benign" / "benign (2)_mask_10.png")
    result = run(lesions, *ALL, "--join-masks")
    assert result.exit_code == 1
    assert "sizes 30 x 41, and benign (2)_mask.png has 30 x 40; expected the same" in words(result.stderr)
    assert "benign (2)_mask_10.png" in result.stderr


@pytest.fixture
def organs(tmp_path):
    """CT volumes with a file for each organ, in TotalSegmentator's layout. Spleen and tumour overlap the liver."""
    for number in (1, 2, 3):
        folder = tmp_path / "total" / f"s{number}"
        (folder / "segmentations").mkdir(parents=True)
        noise = np.random.default_rng(number).integers(0, 900, (6, 7, 8), dtype=np.int16)
        nib.save(nib.Nifti1Image(noise, np.eye(4)), folder / "ct.nii.gz")
        for name, slab in (("liver", slice(0, 4)), ("spleen", slice(4, 6)), ("tumour", slice(3, 5))):
            voxels = np.zeros((6, 7, 8), np.uint8)
            voxels[slab, :3] = 1
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / "segmentations" / f"{name}.nii.gz")
    return tmp_path / "total"


LABELLED = ("--image-pattern", "{case}/ct.nii.gz", "--mask-pattern", "{case}/segmentations/{label}.nii.gz")


def label(tmp_path, name="s1"):
    return np.asarray(nib.load(tmp_path / "raw/Dataset105_Folder/labelsTr" / f"{name}.nii.gz").dataobj)


def labels(tmp_path):
    return json.loads((tmp_path / "raw/Dataset105_Folder/dataset.json").read_text())["labels"]


def test_every_structure_gets_the_label_that_its_file_is_called(organs, run, tmp_path):
    result = run(organs, *LABELLED)
    assert result.exit_code == 0, result.output
    assert labels(tmp_path) == {"background": 0, "liver": 1, "spleen": 2, "tumour": 3}
    assert label(tmp_path)[:, 0, 0].tolist() == [1, 1, 1, 3, 3, 2]
    assert label(tmp_path)[:, 3, 0].tolist() == [0] * 6


def test_names_choose_structures_and_their_order(organs, run, tmp_path):
    result = run(organs, *LABELLED, "--label-names", "tumour=lesion,liver")
    assert result.exit_code == 0, result.output
    assert labels(tmp_path) == {"background": 0, "lesion": 1, "liver": 2}
    assert label(tmp_path)[:, 0, 0].tolist() == [2, 2, 2, 2, 1, 0]


def test_ignore_gets_the_last_number_wherever_it_stands(organs, run, tmp_path):
    result = run(organs, *LABELLED, "--label-names", "tumour=ignore,liver")
    assert result.exit_code == 0, result.output
    assert labels(tmp_path) == {"background": 0, "liver": 1, "ignore": 2}
    assert label(tmp_path)[:, 0, 0].tolist() == [1, 1, 1, 2, 2, 0]


def test_a_structure_without_a_file_is_told_and_may_be_allowed(organs, run, tmp_path):
    (organs / "s2" / "segmentations" / "tumour.nii.gz").unlink()
    result = run(organs, *LABELLED)
    assert result.exit_code == 1
    assert "no mask for tumour; add it, or say with --allow-missing-labels" in words(result.stderr)
    result = run(organs, *LABELLED, "--allow-missing-labels")
    assert result.exit_code == 0, result.output
    assert label(tmp_path, "s2")[:, 0, 0].tolist() == [1, 1, 1, 1, 2, 2]


def test_an_image_with_none_of_the_structures_is_no_test_case(organs, run):
    for name in ("liver", "spleen"):
        (organs / "s2" / "segmentations" / f"{name}.nii.gz").unlink()
    result = run(organs, *LABELLED, "--allow-missing-labels", "--label-names", "liver,spleen")
    assert result.exit_code == 1
    assert "no mask for any of liver, spleen" in words(result.stderr)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            [*LABELLED, "--label-names", "kidney"],
            "--label-names kidney: no mask is called so, expected some of liver, ",
        ),
        ([*LABELLED, "--label-names", "liver=x,spleen=x"], "--label-names x, x: expected another name for every label"),
        ([*LABELLED, "--label-names", "liver=background,spleen"], "masks of 'background': that is what no mask marks"),
        ([*LABELLED, "--labels", "{labels}"], "--labels and {label} in --mask-pattern both say which labels there are"),
        (
            [*LABELLED[:3], "{case}/segmentations/liver.nii.gz", "--allow-missing-labels"],
            "need {label} in --mask-pattern",
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused(organs, run, tmp_path, options, text):
    (tmp_path / "labels.json").write_text('{"background": 0, "liver": 1}')
    result = run(organs, *[option.replace("{labels}", str(tmp_path / "labels.json")) for option in options])
    assert result.exit_code == 1
    assert text in result.stderr


def test_masks_of_two_images_that_share_a_name_are_never_joined(run, tmp_path):
    for group, name in (("a_b", "c"), ("a", "b_c"), ("x", "y")):
        (tmp_path / "data" / group).mkdir(parents=True)
        noise = np.random.default_rng(len(group)).integers(0, 255, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "data" / group / f"{name}.png")
        mask((2, 2)).save(tmp_path / "data" / group / f"{name}_mask.png")
    patterns = ("--image-pattern", "{group}/{case}.png", "--mask-pattern", "{group}/{case}_mask.png")
    for options in ((), ("--join-masks",)):
        result = run(tmp_path / "data", *patterns, *options)
        assert result.exit_code == 1
        assert "2 images for one case" in words(result.stderr)
        assert "2 masks for one case" in words(result.stderr)
        assert "--join-masks" not in result.stderr
