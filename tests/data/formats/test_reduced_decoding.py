import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.formats.image_files import load_photograph, resized_image


@pytest.fixture(scope="module")
def large_photograph(tmp_path_factory):
    """A JPEG with the smooth shades and sharp hairs of a dermoscopy photograph, 1200 × 1600."""
    rows, columns = np.mgrid[:1200, :1600]
    shade = 170 + 40 * np.sin(rows / 230) * np.cos(columns / 310)
    lesion = ((rows - 600) / 350) ** 2 + ((columns - 800) / 450) ** 2 < 1
    hairs = np.abs((columns * 3 + rows + 40 * np.sin(rows / 90)) % 400 - 200) < 4
    grey = np.where(hairs, 50, np.where(lesion, 0.5, 1) * shade)
    colours = np.stack([grey, 0.8 * grey, 0.7 * grey], axis=2)
    file = tmp_path_factory.mktemp("photograph") / "large.jpg"
    Image.fromarray(colours.astype(np.uint8)).save(file, quality=92)
    return file


@pytest.mark.parametrize("target", [(128, 128), (256, 256), (96, 224)])
def test_reduced_decoding_is_the_full_one_within_two_grey_levels(large_photograph, target):
    full, shape = load_photograph(large_photograph)
    reduced, reduced_shape = load_photograph(large_photograph, target=target)

    assert shape == reduced_shape == (1200, 1600)
    assert reduced.width < full.width
    difference = resized_image(reduced, target).astype(float) - resized_image(full, target)
    assert 10 * np.log10(255**2 / np.square(difference).mean()) > 50  # dB


def test_target_near_the_full_size_is_decoded_in_full(large_photograph):
    full, _ = load_photograph(large_photograph)
    same, _ = load_photograph(large_photograph, target=(700, 900))

    assert np.array_equal(np.asarray(full), np.asarray(same))


def test_turned_photograph_is_reduced_on_the_right_axes(large_photograph, tmp_path):
    image = Image.open(large_photograph)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", quality=92, exif=exif)

    reduced, shape = load_photograph(tmp_path / "turned.jpg", target=(500, 150))

    assert shape == (1600, 1200)
    assert reduced.height >= 2 * 500
    assert reduced.width >= 2 * 150
