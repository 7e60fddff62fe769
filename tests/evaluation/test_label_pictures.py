import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from nnunet_mamba.evaluation.label_pictures import NoLabelMapError, read_label_picture

LABEL = (np.arange(42).reshape(6, 7) % 4).astype(np.uint8)
COLOURS = [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255]


def palette_picture(palette):
    picture = Image.new("P", LABEL.shape[::-1])
    picture.putdata(LABEL.ravel().tolist())
    picture.putpalette(palette)
    return picture


def wide_png(path, channels, colour_type):
    """Write a PNG with 16 bits a channel, which Pillow cannot."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    header = struct.pack(">IIBBBBB", *LABEL.shape[::-1], 16, colour_type, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_one_channel_in_any_form_is_the_same_label_map(tmp_path, ending, mode):
    if (ending, mode) == ("bmp", "LA"):
        pytest.skip("BMP has no such form")
    greys = [grey for value in range(4) for grey in [value] * 3]
    picture = palette_picture(greys) if mode == "P" else Image.fromarray(LABEL).convert(mode)
    picture.save(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(read_label_picture(tmp_path / f"a.{ending}"), LABEL)


def test_one_bit_is_0_and_1(tmp_path):
    for name in ("a.png", "a.bmp", "a.tif"):
        Image.fromarray(LABEL > 1).save(tmp_path / name)
        np.testing.assert_array_equal(read_label_picture(tmp_path / name), LABEL > 1)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int16, np.float32, np.float64])
def test_wide_numbers_keep_their_values(tmp_path, dtype):
    label = LABEL.astype(dtype) * 300
    tifffile.imwrite(tmp_path / "a.tif", label)
    np.testing.assert_array_equal(read_label_picture(tmp_path / "a.tif"), label)
    Image.fromarray(label.astype(np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_picture(tmp_path / "a.png"), label)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_channels_of_a_tiff_that_are_equal_are_one(tmp_path, planar):
    axis = -1 if planar == "contig" else 0
    tifffile.imwrite(tmp_path / "a.tif", np.stack([LABEL] * 3, axis), photometric="rgb", planarconfig=planar)
    np.testing.assert_array_equal(read_label_picture(tmp_path / "a.tif"), LABEL)


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_colours_of_a_palette_are_no_label_numbers(tmp_path, ending):
    palette_picture(COLOURS).save(tmp_path / f"a.{ending}")
    with pytest.raises(NoLabelMapError, match="has colours of its palette that differ, expected one label number"):
        read_label_picture(tmp_path / f"a.{ending}")


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_channels_that_differ_are_refused(tmp_path, ending):
    Image.fromarray(np.stack([LABEL, 0 * LABEL, LABEL], -1)).save(tmp_path / f"a.{ending}")
    with pytest.raises(NoLabelMapError, match="has 3 channels that differ"):
        read_label_picture(tmp_path / f"a.{ending}")


def test_transparent_pixels_are_refused(tmp_path):
    alpha = np.where(LABEL > 0, 255, 0).astype(np.uint8)
    Image.fromarray(np.stack([LABEL, LABEL, LABEL, alpha], -1)).save(tmp_path / "a.png")
    with pytest.raises(NoLabelMapError, match="has transparent pixels"):
        read_label_picture(tmp_path / "a.png")


def test_several_pictures_in_a_file_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([LABEL] * 4), photometric="minisblack")
    with pytest.raises(NoLabelMapError, match="holds 4 pages"):
        read_label_picture(tmp_path / "a.tif")
    frames = [Image.fromarray(LABEL), Image.fromarray(LABEL[::-1])]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(NoLabelMapError, match="holds 2 pictures"):
        read_label_picture(tmp_path / "a.png")


@pytest.mark.parametrize(("n_channels", "colour_type"), [(3, 2), (2, 4)])
def test_wide_colours_that_would_lose_their_small_numbers_are_refused(tmp_path, n_channels, colour_type):
    wide_png(tmp_path / "a.png", np.stack([LABEL] * n_channels, -1), colour_type)
    with pytest.raises(NoLabelMapError, match="16 bits a channel"):
        read_label_picture(tmp_path / "a.png")


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_damaged_files_are_errors(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    Image.fromarray(np.random.default_rng(0).integers(0, 4, (60, 70), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises((OSError, ValueError, SyntaxError)):
        read_label_picture(path)
    path.write_text("no picture")
    with pytest.raises((OSError, ValueError)):
        read_label_picture(path)
