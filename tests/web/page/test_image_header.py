import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from nnunet_mamba.data.formats.image_files import orientation_of

SCRIPT = """
import { readHeader } from "./image_header.js";
import { ImageError } from "./image_error.js";
try {
  const { type, orientation, mayBeTransparent, parts } = readHeader(new Uint8Array(read("file")));
  write("upright", Buffer.concat(parts.map((part) => Buffer.from(part))));
  told = { type, orientation, mayBeTransparent };
} catch (error) {
  if (!(error instanceof ImageError)) throw error;
  told = { refusal: error.message };
}
"""
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


def encoded(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def exif(orientation, order):
    entries = Image.Exif()
    entries.endian = order
    entries[0x010F] = "A maker of cameras"
    entries[0x0112] = orientation
    return entries.tobytes()


def header(node, content):
    return node.run(SCRIPT, file=np.frombuffer(content, dtype=np.uint8))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [0, 1, 3, 6, 8, 9])
def test_the_orientation_is_that_of_the_conversions_and_is_taken_out(node, kind, order, orientation):
    content = encoded(Image.fromarray(PIXELS), kind, exif=exif(orientation, order))
    told = header(node, content)
    assert told["type"] == FORMATS[kind]
    with Image.open(io.BytesIO(content)) as image:
        assert told["orientation"] == orientation_of(image)
        stored = np.asarray(image.convert("RGB"))
    upright = node.array("upright", -1).tobytes()
    with Image.open(io.BytesIO(upright)) as image:
        image.load()
        assert orientation_of(image) == 1
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), stored)


@pytest.mark.parametrize("kind", FORMATS)
def test_files_without_an_orientation_stay_as_they_are(node, kind):
    content = encoded(Image.fromarray(PIXELS), kind)
    assert header(node, content)["orientation"] == 1
    assert node.array("upright", -1).tobytes() == content


def test_the_orientation_in_xmp_data_counts_where_exif_data_tell_none(node):
    content = encoded(Image.fromarray(PIXELS), "JPEG", xmp=b'<x tiff:Orientation="6"/>')
    with Image.open(io.BytesIO(content)) as image:
        assert orientation_of(image) == 6
    assert header(node, content)["orientation"] == 6


@pytest.mark.parametrize("cut", [2, 5, 20, 30])
def test_damaged_exif_data_say_nothing(node, cut):
    content = encoded(Image.fromarray(PIXELS), "JPEG", exif=exif(6, "<")[:cut])
    assert header(node, content)["orientation"] == 1


def test_alpha_is_looked_at_only_where_it_may_be(node):
    opaque = Image.fromarray(PIXELS)
    assert not header(node, encoded(opaque, "JPEG"))["mayBeTransparent"]
    assert not header(node, encoded(opaque, "PNG"))["mayBeTransparent"]
    assert header(node, encoded(opaque.convert("RGBA"), "PNG"))["mayBeTransparent"]
    assert header(node, encoded(opaque.convert("P"), "PNG", transparency=0))["mayBeTransparent"]
    assert header(node, encoded(opaque, "BMP"))["mayBeTransparent"]


PICTURE = Image.fromarray(PIXELS)
DEEP = io.BytesIO()
Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257).save(DEEP, "PNG")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file is empty (0 bytes)"),
        (b"a note about a patient", "not an image, or its start is damaged"),
        (b"\xff\xd8\xff", "its header is damaged"),
        (encoded(PICTURE.convert("L"), "JPEG"), "a grey picture"),
        (encoded(PICTURE.convert("L"), "PNG"), "a grey picture"),
        (encoded(PICTURE.convert("1"), "PNG"), "1 bit per pixel"),
        (encoded(PICTURE.convert("CMYK"), "JPEG"), "colour mode CMYK"),
        (DEEP.getvalue(), "16 bits per channel"),
        (encoded(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(180)]), "several pictures"),
        (encoded(PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(180)]), "several pictures"),
        (encoded(PICTURE, "TIFF"), "choose a JPEG, PNG, WebP or BMP file"),
        (encoded(PICTURE, "GIF"), "choose a JPEG, PNG, WebP or BMP file"),
    ],
)
def test_what_the_model_cannot_take_is_told_in_a_sentence(node, content, told):
    assert told in header(node, content)["refusal"]


def test_text_chunks_and_transparency_of_png_files_are_passed_over(node):
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "eXIf acTL tRNS")
    told = header(node, encoded(PICTURE, "PNG", pnginfo=notes))
    assert told == {"type": "image/png", "orientation": 1, "mayBeTransparent": False}
