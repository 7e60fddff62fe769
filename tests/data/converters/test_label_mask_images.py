from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.label_mask_images import LabelMaskImageConverter, is_colour_file
from nnunet_mamba.data.formats.label_values import LabelValues

LABELS = LabelValues.of({"background": 0, "naevus": 100, "hair": [200, 255]})
VALUES = np.repeat(np.array([0, 100, 200, 255], np.uint8), 80).reshape(8, 40)
EXPECTED = np.repeat([0, 1, 2, 2], 80).reshape(8, 40)


@pytest.fixture
def case(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (8, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    Image.fromarray(VALUES).save(tmp_path / "a_mask.png")
    return Case(identifier="a", channels=(tmp_path / "a.png",), mask=tmp_path / "a_mask.png")


@pytest.fixture
def grey_case(case, tmp_path):
    paths = [tmp_path / f"grey{number}.png" for number in range(2)]
    for number, path in enumerate(paths):
        Image.open(case.channels[0]).getchannel(number).save(path)
    return replace(case, channels=tuple(paths))


def texts(checked):
    return [problem.text for problem in checked.problems]


def test_good_case_has_no_problems(case):
    checked = LabelMaskImageConverter(labels=LABELS).check(case)
    assert checked.problems == ()
    assert checked.source == {"shape": [8, 40]}
    assert checked.foreground == 0.75
    assert (
        checked.digest
        == LabelMaskImageConverter(labels=LABELS).check(replace(case, mask=None, is_training=False)).digest
    )


def test_image_and_label_are_exact_at_the_original_size(case):
    image, label = LabelMaskImageConverter(labels=LABELS).read(case)
    assert np.array_equal(image, np.asarray(Image.open(case.channels[0])))
    assert np.array_equal(label, EXPECTED)
    assert label.dtype == np.uint8


def test_files_written_are_what_was_read(case, tmp_path):
    converter = LabelMaskImageConverter(labels=LABELS)
    image, label = converter.read(case)
    for name, array in (("image.png", image), ("label.png", label)):
        converter.write(tmp_path / name, array)
        assert np.array_equal(np.asarray(Image.open(tmp_path / name)), array)


def test_resizing_takes_the_nearest_label(case):
    image, label = LabelMaskImageConverter(labels=LABELS, size=(4, 20)).read(case)
    assert image.shape == (4, 20, 3)
    assert np.array_equal(label, EXPECTED[::2, ::2])


def test_one_unknown_value_among_many_is_a_problem(case):
    pixels = VALUES.copy()
    pixels[0, :3] = 7
    Image.fromarray(pixels).save(case.mask)
    checked = LabelMaskImageConverter(labels=LABELS).check(case)
    assert texts(checked) == ["1 unknown value: 7 (3x); expected 0, 100, 200, 255; name them in `labels`"]
    assert checked.problems[0].file == case.mask
    assert checked.foreground is None


def test_threshold_is_exclusive(case):
    converter = LabelMaskImageConverter(labels=LabelValues.of({"foreground": 255}), threshold=100)
    assert np.array_equal(converter.read(case)[1], VALUES > 100)


def test_threshold_needs_grey_levels(case):
    Image.new("RGB", (40, 8), (255, 0, 0)).save(case.mask)
    checked = LabelMaskImageConverter(labels=LABELS, threshold=127).check(case)
    assert texts(checked) == ["coloured mask, and `threshold` needs grey levels; name its colours in `labels`"]


def test_threshold_takes_grey_colours(case):
    Image.fromarray(VALUES).convert("RGB").save(case.mask)
    converter = LabelMaskImageConverter(labels=LabelValues.of({"foreground": 255}), threshold=127)
    assert np.array_equal(converter.read(case)[1], VALUES > 127)


def test_palette_colours_count_and_not_their_indices(case):
    # Index 0 is white, as in masks derived from HAM10000.
    indices = Image.fromarray((VALUES == 0).astype(np.uint8) * 255).convert("P")
    indices.putpalette([255 - grey for grey in range(256) for _ in range(3)])
    indices.save(case.mask)
    assert Image.open(case.mask).mode == "P"
    label = LabelMaskImageConverter(labels=LabelValues.of({"lesion": 255})).read(case)[1]
    assert np.array_equal(label, VALUES > 0)


def test_colours_are_mapped_one_by_one(case):
    pixels = np.zeros((8, 40, 3), np.uint8)
    pixels[:2], pixels[2:4], pixels[4:6] = (255, 0, 0), (0, 255, 0), (254, 0, 0)
    Image.fromarray(pixels).save(case.mask)
    labels = LabelValues.of({"red": "#ff0000", "green": "#00ff00", "nearly": "#fe0000"})
    expected = np.repeat([1, 2, 3, 0], 80).reshape(8, 40)
    assert np.array_equal(LabelMaskImageConverter(labels=labels).read(case)[1], expected)


def test_one_bit_masks_hold_black_and_white(case, tmp_path):
    one_bit = replace(case, mask=tmp_path / "a_mask.bmp")
    Image.fromarray(VALUES > 0).save(one_bit.mask)
    assert Image.open(one_bit.mask).mode == "1"
    assert np.array_equal(LabelMaskImageConverter(labels=LabelValues.of({"lesion": 255})).read(one_bit)[1], VALUES > 0)


def test_empty_masks_are_refused_unless_they_are_allowed(case):
    Image.new("L", (40, 8)).save(case.mask)
    assert "`allow_empty_masks=True`" in texts(LabelMaskImageConverter(labels=LABELS).check(case))[0]
    assert LabelMaskImageConverter(labels=LABELS, allow_empty_masks=True).check(case).problems == ()


def test_labels_that_vanish_are_a_problem(case):
    pixels = np.zeros((8, 40), np.uint8)
    pixels[0, 0] = 100
    Image.fromarray(pixels).save(case.mask)
    checked = LabelMaskImageConverter(labels=LABELS, size=(2, 2)).check(case)
    assert "1 labelled pixels, and none of them is left at the size (2, 2)" in texts(checked)[0]


def test_mask_of_another_size_is_a_problem(case):
    Image.fromarray(VALUES[:, :39]).save(case.mask)
    assert (
        "the mask has 39x8 pixels, its image 40x8 pixels"
        in texts(LabelMaskImageConverter(labels=LABELS).check(case))[0]
    )
    with pytest.raises(ValueError, match=r"a: the mask has 39x8 .*a_mask.png"):
        LabelMaskImageConverter(labels=LABELS).read(case)


def test_all_files_of_a_case_are_reported(case):
    case.channels[0].write_bytes(b"")
    case.mask.write_bytes(b"")
    problems = LabelMaskImageConverter(labels=LABELS).check(case).problems
    assert [problem.file for problem in problems] == [case.mask, case.channels[0]]
    with pytest.raises(ValueError, match="a: the file is empty"):
        LabelMaskImageConverter(labels=LABELS).read(case)


def test_grey_channels_are_exact(grey_case):
    converter = LabelMaskImageConverter(labels=LABELS, is_colour=False)
    assert converter.check(grey_case).problems == ()
    *channels, label = converter.read(grey_case)
    for path, channel in zip(grey_case.channels, channels, strict=True):
        assert np.array_equal(channel, np.asarray(Image.open(path)))
    assert np.array_equal(label, EXPECTED)


def test_grey_channels_have_one_size(grey_case):
    Image.open(grey_case.channels[1]).crop((0, 0, 39, 8)).save(grey_case.channels[1])
    problem = LabelMaskImageConverter(labels=LABELS, is_colour=False).check(grey_case).problems[0]
    assert problem.text == "39x8 pixels, and grey0.png has 40x8 pixels"
    assert problem.file == grey_case.channels[1]


def test_colour_among_grey_pictures_is_a_problem(case):
    checked = LabelMaskImageConverter(labels=LABELS, is_colour=False).check(case)
    assert "`channel_names=R,G,B`" in texts(checked)[0]


@pytest.mark.parametrize(("mode", "is_colour"), [("RGB", True), ("P", True), ("L", False), ("1", False), ("LA", False)])
def test_tells_how_a_picture_is_stored(tmp_path, mode, is_colour):
    Image.new(mode, (4, 4)).save(tmp_path / "a.png")
    assert is_colour_file(tmp_path / "a.png") == is_colour


def test_equal_pictures_have_equal_digests_whatever_their_files_are(case, tmp_path):
    converter = LabelMaskImageConverter(labels=LABELS)
    copy = replace(case, channels=(tmp_path / "copy.bmp",))
    Image.open(case.channels[0]).save(copy.channels[0])
    other = replace(case, channels=(tmp_path / "other.png",))
    Image.open(case.channels[0]).rotate(180).save(other.channels[0])
    digests = [converter.check(one).digest for one in (case, copy, other)]
    assert digests[0] == digests[1] != digests[2]


def test_a_tiff_of_numbers_is_a_mask(case, tmp_path):
    numbers = VALUES.astype(np.float32)
    numbers[VALUES == 100] -= 2e-5
    Image.fromarray(numbers).save(tmp_path / "a_mask.tif")
    tiff = replace(case, mask=tmp_path / "a_mask.tif")
    checked = LabelMaskImageConverter(labels=LABELS).check(tiff)
    assert checked.problems == ()
    assert checked.n_rounded == np.count_nonzero(VALUES == 100)
    assert np.array_equal(LabelMaskImageConverter(labels=LABELS).read(tiff)[1], EXPECTED)


def test_a_tiff_of_probabilities_needs_a_threshold(case, tmp_path):
    probabilities = (VALUES / 255).astype(np.float32)
    Image.fromarray(probabilities).save(tmp_path / "a_mask.tif")
    tiff = replace(case, mask=tmp_path / "a_mask.tif")
    (text,) = texts(LabelMaskImageConverter(labels=LABELS).check(tiff))
    assert text.startswith("values such as 0.39215687, 0.78431374 in 160 pixels, expected whole numbers from 0 to 255")
    converter = LabelMaskImageConverter(labels=LabelValues.of({"lesion": 255}), threshold=0.5)
    assert np.array_equal(converter.read(tiff)[1], VALUES > 127)


@pytest.mark.parametrize(("value", "text"), [(np.nan, "1 pixels of the mask are NaN"), (-1, "-1"), (256, "256")])
def test_numbers_that_no_mask_holds_are_told(case, tmp_path, value, text):
    numbers = VALUES.astype(np.float32)
    numbers[0, 0] = value
    Image.fromarray(numbers).save(tmp_path / "a_mask.tif")
    (found,) = texts(LabelMaskImageConverter(labels=LABELS).check(replace(case, mask=tmp_path / "a_mask.tif")))
    assert text in found


def test_a_mask_that_is_ignored_all_over_is_empty(case):
    converter = LabelMaskImageConverter(labels=LabelValues.of({"lesion": 1, "ignore": 255}))
    Image.fromarray(np.full((8, 40), 255, np.uint8)).save(case.mask)
    (text,) = texts(converter.check(case))
    assert "empty mask: every pixel is 'ignore'" in text
    assert replace(converter, allow_empty_masks=True).check(case).problems == ()


def test_a_label_that_vanishes_at_the_size_is_told_even_if_ignored_pixels_stay(case):
    values = np.full((8, 40), 255, np.uint8)
    values[0, 1] = 1
    Image.fromarray(values).save(case.mask)
    converter = LabelMaskImageConverter(labels=LabelValues.of({"lesion": 1, "ignore": 255}), size=(2, 4))
    (text,) = texts(converter.check(case))
    assert "choose a larger `size`" in text


def test_the_border_is_looked_at_where_there_is_one_label(case):
    assert LabelMaskImageConverter(labels=LABELS).check(case).border is None
    binary = LabelMaskImageConverter(labels=LabelValues.of({"lesion": [100, 200, 255]}))
    assert binary.check(case).border > 0.5
