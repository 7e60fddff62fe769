import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.formats.file_endings import PICTURE_ENDINGS
from nnunet_mamba.data.formats.image_files import (
    ImageFileError,
    decode_photograph,
    load_binary_mask,
    load_photograph,
    load_upright,
    resized_image,
    resized_mask,
    write_png,
)
from nnunet_mamba.demo.lesions import draw_photograph

ORIENTATION = 0x0112


@pytest.fixture
def photograph():
    """(20, 30) gradient, so that every turn and mirror image differs."""
    rows, columns = np.mgrid[:20, :30]
    return np.stack([rows * 8, columns * 8, rows * 0 + 100], axis=-1).astype(np.uint8)


@pytest.fixture
def lesion():
    mask = np.zeros((20, 30), np.uint8)
    mask[5:9, 10:25] = 1
    return mask


def with_orientation(path, pixels, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return path


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA"])
def test_photograph_of_any_opaque_mode_becomes_rgb(tmp_path, photograph, mode):
    source = Image.fromarray(photograph).convert(mode)
    source.save(tmp_path / "x.png")
    image, shape = load_photograph(tmp_path / "x.png")
    assert (image.mode, shape) == ("RGB", (20, 30))
    assert np.array_equal(np.asarray(image), np.asarray(source.convert("RGB")))


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif"])
def test_photograph_of_any_lossless_format(tmp_path, photograph, ending):
    Image.fromarray(photograph).save(tmp_path / f"x{ending}")
    assert np.array_equal(np.asarray(load_photograph(tmp_path / f"x{ending}")[0]), photograph)


def test_refuses_cmyk_photograph(tmp_path, photograph):
    Image.fromarray(photograph).convert("CMYK").save(tmp_path / "x.jpg")
    with pytest.raises(ImageFileError, match="colour mode CMYK; save it as 8-bit RGB"):
        load_photograph(tmp_path / "x.jpg")


def test_refuses_16_bit_grey(tmp_path):
    pixels = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    Image.fromarray(pixels).save(tmp_path / "x.png")
    for load in (load_photograph, load_binary_mask):
        with pytest.raises(ImageFileError, match="16 bits per channel"):
            load(tmp_path / "x.png")


def png_of_16_bit_colour(pixels):
    """Pillow cannot write one: signature, header, rows with filter 0, end."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_refuses_16_bit_colour(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65535, (20, 30, 3), dtype=np.uint16)
    (tmp_path / "x.png").write_bytes(png_of_16_bit_colour(pixels))
    with pytest.raises(ImageFileError, match="16 bits per channel"):
        load_photograph(tmp_path / "x.png")


def test_takes_the_photograph_of_a_telephone_with_its_preview(tmp_path, photograph):
    first = Image.fromarray(photograph)
    first.save(tmp_path / "x.jpg", format="MPO", save_all=True, append_images=[first.resize((5, 5))])
    image, shape = load_photograph(tmp_path / "x.jpg")
    assert (image.size, shape) == ((30, 20), (20, 30))


def test_damaged_metadata_do_not_matter(tmp_path, photograph):
    Image.fromarray(photograph).save(tmp_path / "x.jpg", exif=b"Exif\0\0garbage that is no TIFF header")
    assert load_photograph(tmp_path / "x.jpg")[1] == (20, 30)


def test_accepts_8_bit_pictures_with_a_16_in_their_width(tmp_path):
    pixels = np.arange(16 * 1616, dtype=np.uint32).reshape(16, 1616).astype(np.uint8)
    for ending in (".png", ".bmp", ".tif"):
        Image.fromarray(pixels).save(tmp_path / f"x{ending}")
        assert load_photograph(tmp_path / f"x{ending}")[1] == (16, 1616)


def test_refuses_transparent_pixels(tmp_path, photograph):
    image = Image.fromarray(photograph).convert("RGBA")
    image.putpixel((3, 3), (0, 0, 0, 7))
    image.save(tmp_path / "x.png")
    for load in (load_photograph, load_binary_mask):
        with pytest.raises(ImageFileError, match="alpha down to 7"):
            load(tmp_path / "x.png")


def test_refuses_transparent_palette_entry(tmp_path, lesion):
    Image.fromarray(lesion * 255).convert("P").save(tmp_path / "x.png", transparency=0)
    with pytest.raises(ImageFileError, match="transparent"):
        load_binary_mask(tmp_path / "x.png")


def test_refuses_mask_in_place_of_photograph(tmp_path, lesion):
    Image.fromarray(lesion * 255).convert("1").save(tmp_path / "x.png")
    with pytest.raises(ImageFileError, match="1 bit per pixel"):
        load_photograph(tmp_path / "x.png")


def test_refuses_blank_photograph(tmp_path):
    Image.new("RGB", (30, 20), (7, 8, 9)).save(tmp_path / "x.png")
    with pytest.raises(ImageFileError, match="blank"):
        load_photograph(tmp_path / "x.png")


def test_refuses_animation(tmp_path, photograph):
    first = Image.fromarray(photograph)
    first.save(tmp_path / "x.tif", save_all=True, append_images=[first])
    with pytest.raises(ImageFileError, match="holds 2 pictures"):
        load_photograph(tmp_path / "x.tif")


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp", ".tif", ".webp"])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.9])
def test_refuses_truncated_file(tmp_path, ending, kept):
    path = tmp_path / f"x{ending}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    for quick in (False, True):
        with pytest.raises(ImageFileError):
            load_photograph(path, quick=quick)


def test_refuses_png_with_a_flipped_bit(tmp_path, lesion):
    write_png(tmp_path / "x.png", lesion * 255)
    content = bytearray((tmp_path / "x.png").read_bytes())
    content[content.index(b"IDAT") + 12] ^= 4
    (tmp_path / "x.png").write_bytes(bytes(content))
    with pytest.raises(ImageFileError, match="copy or download it again"):
        load_binary_mask(tmp_path / "x.png")


def test_a_picture_beyond_the_decoders_limit_is_large_and_not_damaged(tmp_path, monkeypatch, lesion):
    Image.fromarray(lesion).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", lesion.size // 4)
    with pytest.raises(ImageFileError, match=r"^more than 0 million pixels, by its header; save it smaller"):
        load_binary_mask(tmp_path / "a.png")


def test_refuses_missing_file(tmp_path):
    with pytest.raises(ImageFileError, match="No such file"):
        load_photograph(tmp_path / "x.png")


def test_quick_look_gives_the_full_size(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 304, 3), dtype=np.uint8)
    path = with_orientation(tmp_path / "x.jpg", noise, 6)
    image, shape = load_photograph(path, quick=True)
    assert image.width < 60
    assert shape == (304, 200)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photograph_is_turned_upright(tmp_path, photograph, orientation):
    # What viewers show, from the EXIF standard's table: row 0 and column 0 of the stored pixels are ...
    upright = {
        1: photograph,
        2: photograph[:, ::-1],
        3: photograph[::-1, ::-1],
        4: photograph[::-1],
        5: photograph.transpose(1, 0, 2),
        6: photograph.transpose(1, 0, 2)[:, ::-1],
        7: photograph.transpose(1, 0, 2)[::-1, ::-1],
        8: photograph.transpose(1, 0, 2)[::-1],
    }[orientation]
    image, shape = load_photograph(with_orientation(tmp_path / "x.png", photograph, orientation))
    assert shape == upright.shape[:2]
    assert np.array_equal(np.asarray(image), upright)
    assert decode_photograph(tmp_path / "x.png").orientation == orientation
    assert np.array_equal(load_upright(tmp_path / "x.png"), upright)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_size_of_the_mask_decides_about_a_quarter_turn(tmp_path, photograph, orientation):
    path = with_orientation(tmp_path / "x.png", photograph, orientation)
    image, shape = load_photograph(path, label_shape=(20, 30))
    assert shape == (20, 30)
    assert np.array_equal(np.asarray(image), photograph)
    assert load_photograph(path, label_shape=(30, 20))[1] == (30, 20)


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_refuses_orientation_that_the_mask_cannot_decide(tmp_path, photograph, orientation):
    path = with_orientation(tmp_path / "x.png", photograph, orientation)
    with pytest.raises(ImageFileError, match=f"EXIF orientation {orientation}"):
        load_photograph(path, label_shape=(20, 30))


def test_refuses_quarter_turn_of_a_square_with_mask(tmp_path, photograph):
    path = with_orientation(tmp_path / "x.png", photograph[:, :20], 6)
    with pytest.raises(ImageFileError, match="fits both"):
        load_photograph(path, label_shape=(20, 20))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif"])
def test_mask_of_any_mode(tmp_path, lesion, mode, ending):
    Image.fromarray(lesion * 255).convert(mode).save(tmp_path / f"x{ending}")
    mask = load_binary_mask(tmp_path / f"x{ending}")
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, lesion)


def test_palette_mask_is_read_by_colour(tmp_path, lesion):
    image = Image.fromarray(1 - lesion, mode="P")  # index 0 is the lesion
    image.putpalette([255, 255, 255, 0, 0, 0])
    image.save(tmp_path / "x.png")
    assert np.array_equal(load_binary_mask(tmp_path / "x.png"), lesion)


def test_grey_levels_are_split_above_127(tmp_path):
    Image.fromarray(np.array([[0, 1, 127, 128, 254, 255]], np.uint8)).save(tmp_path / "x.png")
    assert load_binary_mask(tmp_path / "x.png").tolist() == [[0, 0, 0, 1, 1, 1]]


def test_white_all_over_is_foreground_all_over(tmp_path):
    Image.new("L", (3, 2), 255).save(tmp_path / "x.png")
    assert load_binary_mask(tmp_path / "x.png").tolist() == [[1, 1, 1], [1, 1, 1]]


def test_refuses_empty_mask_unless_allowed(tmp_path):
    Image.new("L", (3, 2), 0).save(tmp_path / "x.png")
    with pytest.raises(ImageFileError, match="`allow_empty_masks=True`"):
        load_binary_mask(tmp_path / "x.png")
    assert load_binary_mask(tmp_path / "x.png", allow_empty=True).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_refuses_mask_that_holds_label_numbers(tmp_path, lesion):
    Image.fromarray(lesion).save(tmp_path / "x.png")
    with pytest.raises(ImageFileError, match="brightest value is 1, expected 0 for background and 255"):
        load_binary_mask(tmp_path / "x.png", allow_empty=True)


def test_refuses_coloured_mask(tmp_path, lesion):
    Image.fromarray(lesion[..., None] * np.array([255, 0, 0], np.uint8)).save(tmp_path / "x.png")
    with pytest.raises(ImageFileError, match="coloured mask"):
        load_binary_mask(tmp_path / "x.png")


def test_refuses_turned_mask(tmp_path, lesion):
    with pytest.raises(ImageFileError, match="mask with EXIF orientation 6"):
        load_binary_mask(with_orientation(tmp_path / "x.png", lesion * 255, 6))


def test_shrinking_an_image_averages_its_pixels():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    small = resized_image(Image.fromarray(stripes), (8, 8))
    assert small.shape == (8, 8, 3)
    assert (np.abs(small[2:-2, 2:-2].astype(int) - 100) <= 2).all()


def test_resized_mask_keeps_its_values_and_its_place(lesion):
    large = resized_mask(lesion, (40, 90))
    assert np.array_equal(large, lesion.repeat(2, axis=0).repeat(3, axis=1))
    assert np.array_equal(resized_mask(large, (20, 30)), lesion)


def test_written_png_is_no_larger_than_with_a_search_for_repetitions(tmp_path):
    drawn = draw_photograph(seed=0, number=0)
    for name, pixels in (("photograph", drawn.image), ("label", drawn.mask.astype(np.uint8))):
        write_png(tmp_path / f"{name}.png", pixels)
        Image.fromarray(pixels).save(tmp_path / "searched.png")

        assert np.array_equal(np.asarray(Image.open(tmp_path / f"{name}.png")), pixels)
        assert (tmp_path / f"{name}.png").stat().st_size <= (tmp_path / "searched.png").stat().st_size


def test_original_size_changes_nothing(photograph, lesion):
    assert np.array_equal(resized_image(Image.fromarray(photograph), None), photograph)
    assert np.array_equal(resized_mask(lesion, None), lesion)


@pytest.mark.parametrize("ending", [".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".GIF"])
def test_masks_of_old_formats_are_read(tmp_path, lesion, ending):
    mask = Image.fromarray(lesion * 255)
    (mask.convert("1") if ending == ".pbm" else mask).save(tmp_path / f"a{ending}")
    assert np.array_equal(load_binary_mask(tmp_path / f"a{ending}"), lesion)


@pytest.mark.parametrize("ending", [".jfif", ".jpe", ".JPEG"])
def test_jpeg_has_several_endings(tmp_path, photograph, ending):
    Image.fromarray(photograph).save(tmp_path / f"a{ending}", format="JPEG")
    assert ending.lower() in PICTURE_ENDINGS
    assert load_photograph(tmp_path / f"a{ending}")[1] == photograph.shape[:2]


def test_refuses_a_gif_of_several_frames(tmp_path, lesion):
    frames = [Image.fromarray(lesion * value) for value in (255, 128)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageFileError, match="the file holds 2 pictures"):
        load_binary_mask(tmp_path / "a.gif")


@pytest.mark.parametrize("brightest", [1, 3, 254])
def test_refuses_grey_levels_that_a_decoder_would_stretch(tmp_path, brightest):
    (tmp_path / "a.pgm").write_bytes(b"P5\n2 2\n%d\n" % brightest + bytes([0, 1, 0, 1]))
    with pytest.raises(ImageFileError, match=f"grey levels up to {brightest}, expected up to 255"):
        load_binary_mask(tmp_path / "a.pgm")


def test_refuses_more_than_the_memory(tmp_path, lesion, monkeypatch):
    from nnunet_mamba.data.formats import declared_sizes

    Image.new("L", (6000, 6000)).save(tmp_path / "a.png")
    monkeypatch.setattr(declared_sizes, "free_memory", lambda: 2**20)
    with pytest.raises(ImageFileError, match="it says that it holds 34 MiB"):
        load_binary_mask(tmp_path / "a.png")


@pytest.mark.parametrize("ending", [".png", ".bmp", ".gif", ".pgm", ".tif"])
def test_refuses_pictures_that_claim_gigantic_sizes(tmp_path, ending):
    Image.fromarray(np.full((4, 4), 255, np.uint8)).save(tmp_path / f"a{ending}")
    content = (tmp_path / f"a{ending}").read_bytes()
    places = {".png": (16, ">II"), ".bmp": (18, "<II"), ".gif": (6, "<HH"), ".tif": None, ".pgm": None}
    if ending == ".pgm":
        content = content.replace(b"4 4", b"400000 400000")
    elif ending == ".tif":
        # Width and height are short numbers in the directory: tags 256 and 257.
        for tag in (256, 257):
            place = content.index(struct.pack("<HH", tag, 4 if struct.pack("<HH", tag, 4) in content else 3))
            content = content[: place + 8] + struct.pack("<H", 60000) + content[place + 10 :]
    else:
        place, form = places[ending]
        size = (60000, 60000) if ending == ".gif" else (400000, 400000)
        content = content[:place] + struct.pack(form, *size) + content[place + struct.calcsize(form) :]
    if ending == ".png":
        content = content[:29] + struct.pack(">I", zlib.crc32(content[12:29])) + content[33:]
    (tmp_path / f"a{ending}").write_bytes(content)
    with pytest.raises(ImageFileError, match="more than 179 million pixels"):
        load_binary_mask(tmp_path / f"a{ending}")


def test_drawings_that_are_programs_are_never_run(tmp_path, photograph):
    Image.fromarray(photograph).save(tmp_path / "a.png", format="EPS")
    with pytest.raises(ImageFileError, match=r"a drawing \(EPS\)"):
        load_photograph(tmp_path / "a.png")
