import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.formats.image_files import ImageFileError
from nnunet_mamba.data.formats.mask_pixels import grey_levels, is_coloured, load_mask_pixels, mask_bytes


def test_one_bit_masks_hold_black_and_white(tmp_path):
    is_white = np.eye(4, 6, dtype=bool)
    Image.fromarray(is_white).save(tmp_path / "a.bmp")
    assert Image.open(tmp_path / "a.bmp").mode == "1"
    assert np.array_equal(load_mask_pixels(tmp_path / "a.bmp"), is_white * 255)


@pytest.mark.parametrize(
    ("mode", "text"),
    [("I;16", "16 bits per channel"), ("CMYK", "colour mode CMYK"), ("RGBA", "transparent pixels")],
)
def test_masks_whose_values_are_not_certain_are_refused(tmp_path, mode, text):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, (4, 4), 1).save(path)
    with pytest.raises(ImageFileError, match=text):
        load_mask_pixels(path)


def test_turned_masks_are_refused(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (4, 6), 255).save(tmp_path / "a.png", exif=exif)
    with pytest.raises(ImageFileError, match="EXIF orientation 6"):
        load_mask_pixels(tmp_path / "a.png")


def test_numbers_near_whole_ones_become_bytes_and_others_are_refused():
    numbers = np.array([[0, 254.9999], [1, 255]], np.float32)
    assert mask_bytes(numbers).tolist() == [[0, 255], [1, 255]]
    numbers[0, 1] = 254.5
    with pytest.raises(ImageFileError, match=r"values such as 254\.5 in 1 pixels, .*`threshold`"):
        mask_bytes(numbers)


def test_grey_colours_have_levels_and_others_are_refused():
    grey = np.full((2, 3, 3), 128, np.uint8)
    # As JPEG leaves it.
    grey[0, 0] = (128, 144, 160)
    assert not is_coloured(grey)
    assert grey_levels(grey).shape == (2, 3)
    assert grey_levels(grey)[1, 1] == 128
    grey[0, 0] = (128, 144, 161)
    assert is_coloured(grey)
    with pytest.raises(ImageFileError, match="coloured mask, and `threshold` needs grey levels"):
        grey_levels(grey)
