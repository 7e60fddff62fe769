"""What is told of a picture of any kind, and how it is shown."""

import os

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.formats.image_files import ImageFileError, decode_photograph, is_deep, load_upright


@pytest.fixture
def photograph():
    rows, columns = np.mgrid[:20, :30]
    return np.stack([rows * 8, columns * 8, rows * 0 + 100], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_any_picture_is_shown_in_colours_blank_ones_too(tmp_path, photograph, mode):
    for pixels in (photograph, photograph * 0):
        source = Image.fromarray(pixels).convert(mode)
        source.save(tmp_path / "x.tif")
        assert np.array_equal(load_upright(tmp_path / "x.tif"), np.asarray(source.convert("RGB")))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB"])
def test_grey_levels_are_told_from_colours(tmp_path, photograph, mode):
    Image.fromarray(photograph).convert(mode).save(tmp_path / "x.png")
    assert decode_photograph(tmp_path / "x.png").is_grey is (mode in ("L", "LA"))


def test_depth_is_told_by_the_header(tmp_path, photograph):
    for name, pixels, expected in (
        ("a.png", photograph, False),
        ("b.png", photograph[..., 0].astype(np.uint16), True),
        ("c.tif", photograph[..., 0].astype(np.float32), True),
        ("d.tif", photograph[..., 0].astype(np.int32), True),
    ):
        Image.fromarray(pixels).save(tmp_path / name)
        assert is_deep(tmp_path / name) is expected
    (tmp_path / "e.png").write_bytes(b"text")
    for name in ("e.png", "f.png"):
        with pytest.raises(ImageFileError, match="unreadable"):
            is_deep(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_no_picture_and_nobody_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ImageFileError, match="no file, but a pipe or a device"):
        is_deep(tmp_path / "a.png")
