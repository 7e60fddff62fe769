"""``--skip-invalid``: nothing that is listed as left out is converted, and nothing else is missing."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nnunet_mamba.cli.convert import app

RECORD = "nnunet_mamba_conversion.json"
MASK = np.zeros((12, 16), np.uint8)
MASK[3:9, 4:10] = 255


def draw(folder, *names):
    """Write images and masks that are called alike."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for name in names:
        noise = np.random.default_rng(list(f"{folder.name}{name}".encode())).integers(0, 255, (12, 16, 3), np.uint8)
        Image.fromarray(noise).save(folder / "images" / f"{name}.png")
        Image.fromarray(MASK).save(folder / "masks" / f"{name}.png")


@pytest.fixture(params=["isic", "folder"])
def run(request, tmp_path):
    """Convert "source", and "test" if it is there."""

    def run(*options):
        sources = [tmp_path / "source" / name for name in ("images", "masks")]
        if request.param == "folder":
            sources = ["--images", sources[0], "--masks", sources[1]]
        if (tmp_path / "test").is_dir():
            options = ("--test-images", tmp_path / "test/images", "--test-masks", tmp_path / "test/masks", *options)
        arguments = (request.param, *sources, "--output", tmp_path / "raw", "--no-progress", "--jobs", 1, *options)
        result = CliRunner().invoke(app, [str(one) for one in arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


@pytest.fixture
def raw(tmp_path):
    """Return the folder of the only data set, once it is there."""
    return lambda: next((tmp_path / "raw").iterdir())


def written(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.glob("images*/*"))


def skipped(folder):
    return list(json.loads((folder / RECORD).read_text())["skipped"])


def test_a_case_with_two_masks_is_left_out_however_these_are_written(run, raw, tmp_path):
    draw(tmp_path / "source", "IMG_1", "IMG_2", "IMG_3")
    masks = tmp_path / "source" / "masks"
    (masks / "IMG_3.png").rename(masks / "img_3.png")
    Image.fromarray(np.roll(MASK, 3, axis=0)).save(masks / "img_3.bmp")
    for _ in range(2):
        assert "left out: 1" in run("--skip-invalid")
        assert written(raw()) == ["imagesTr/IMG_1_0000.png", "imagesTr/IMG_2_0000.png"]
        assert skipped(raw()) == ["IMG_3"]


def test_an_image_of_both_parts_stays_a_training_image(run, raw, tmp_path):
    draw(tmp_path / "source", "c0", "c1")
    draw(tmp_path / "test", "c0", "c2")
    for _ in range(2):
        text = run("--skip-invalid")
        assert "left out: 1" in text
        assert "a test image, and a training image too" in " ".join(text.split())
        assert "--skip-invalid" not in text
        assert written(raw()) == ["imagesTr/c0_0000.png", "imagesTr/c1_0000.png", "imagesTs/c2_0000.png"]
        assert skipped(raw()) == ["test/c0"]
        (raw() / "imagesTr/c0_0000.png").unlink()


def test_a_training_case_stays_though_a_test_image_of_its_name_is_damaged(run, raw, tmp_path):
    draw(tmp_path / "source", "c0", "c1")
    draw(tmp_path / "test", "c0", "c2")
    (tmp_path / "test/masks/c0.png").unlink()
    (tmp_path / "test/images/c0.png").write_bytes(b"")
    run("--skip-invalid")
    assert written(raw()) == ["imagesTr/c0_0000.png", "imagesTr/c1_0000.png", "imagesTs/c2_0000.png"]


def test_a_run_that_continues_leaves_out_every_case_that_its_record_names(run, raw, tmp_path):
    draw(tmp_path / "source", "c1")
    draw(tmp_path / "test", "c2")
    run()
    draw(tmp_path / "source", "c0")
    draw(tmp_path / "test", "c0")
    content = json.loads((raw() / RECORD).read_text())
    content["skipped"] = {"c0": ["a test image, and a training image too"]}
    (raw() / RECORD).write_text(json.dumps(content))
    shutil.rmtree(raw() / "labelsTs")
    assert "1 cases, the others were there" in run("--skip-invalid")
    assert written(raw()) == ["imagesTr/c1_0000.png", "imagesTs/c2_0000.png"]
