"""The pictures of the how-to pages: they can be drawn again, and the pages show them."""

import importlib.util
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
PICTURE_OF = {
    "train-on-isic.md": "isic",
    "train-on-ph2.md": "ph2",
    "train-on-lgg.md": "lgg",
    "train-on-synapse.md": "synapse",
    "convert-your-own-folder.md": "folder",
}


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate_pictures", ROOT / "docs/generate_pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_picture_is_drawn_from_a_converted_set(generator, tmp_path):
    (file,) = generator.generate(["isic"], tmp_path)

    with Image.open(file) as drawn, Image.open(generator.IMAGES / file.name) as shown:
        assert drawn.size == shown.size
        difference = np.abs(np.asarray(drawn).astype(int) - np.asarray(shown))
    # Fonts and encoders differ a little from machine to machine; other photographs or contours are far away.
    assert difference.mean() < 3


def test_every_picture_has_its_page(generator):
    assert set(generator.PICTURES) == set(PICTURE_OF.values())


@pytest.mark.parametrize("page", PICTURE_OF)
def test_the_page_shows_its_picture_and_says_what_it_is(page):
    text = (ROOT / "docs/how-to" / page).read_text(encoding="utf-8")
    alternative, target = re.search(r"!\[([^\]]*)\]\((\S+)\)\n", text).groups()

    file = ROOT / "docs/how-to" / target
    assert file.name == f"converted-{PICTURE_OF[page]}.jpg"
    assert file.stat().st_size < 150_000
    assert len(alternative.split()) >= 4
    caption = text.partition(target)[2].split("\n\n")[1]
    assert "drawn" in caption
    assert "patient" in caption


@pytest.mark.parametrize("affine", [(-1, -1, 1, 1), (1, 1, 1, 1), (-1, 1, -1, 1)], ids=str)
def test_slices_are_shown_from_the_feet_with_the_front_on_top(generator, tmp_path, affine):
    volume = np.zeros((4, 5, 6), np.int16)
    # The patient's right, front and upper end.
    corner = tuple(-1 if step > 0 else 0 for step in affine[:3])
    volume[corner] = 1
    nibabel.save(nibabel.Nifti1Image(volume, np.diag(affine)), tmp_path / "x.nii.gz")

    pixels = generator.read_slice(tmp_path / "x.nii.gz", 1.0)

    assert pixels.shape == (5, 4)
    assert pixels[0, 0] == 1
    assert pixels.sum() == 1
