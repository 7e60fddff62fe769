from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.classification.labelled_images import LabelledImages

CLASSES = ("a", "b", "c")


@pytest.fixture
def images():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 6, 8, 3), dtype=np.uint8)
    return LabelledImages.from_pixels(pixels, [0] * 25 + [1] * 13 + [2] * 2, CLASSES)


def test_a_split_takes_its_share_of_every_class_and_repeats_itself(images):
    rest, held_out = images.split(0.2, seed=3)
    assert (rest.counts(), held_out.counts()) == ({"a": 20, "b": 10, "c": 1}, {"a": 5, "b": 3, "c": 1})
    everything = {picture.tobytes() for picture, _ in images}
    parts = [{picture.tobytes() for picture, _ in part} for part in (rest, held_out)]
    assert (parts[0] | parts[1], parts[0] & parts[1]) == (everything, set())
    again, other = images.split(0.2, seed=3)[1], images.split(0.2, seed=4)[1]
    assert np.array_equal(again.pictures, held_out.pictures)
    assert not np.array_equal(other.pictures, held_out.pictures)


def test_the_digest_tells_files_by_name_and_label():
    def digest(*paths, labels=(0, 1), classes=CLASSES):
        return LabelledImages(classes=classes, labels=np.array(labels), pictures=list(map(Path, paths))).digest()

    same = digest("here/a.png", "here/b.png")
    assert same == digest("there/a.png", "elsewhere/b.png")
    others = {digest("a.png", "c.png"), digest("b.png", "a.png"), digest("a.png", "b.png", labels=(1, 0))}
    assert len(others | {same}) == 4


def test_a_class_of_one_image_cannot_be_split(images):
    with pytest.raises(ValueError, match="fewer than two images of c"):
        images.chosen(range(39)).split(0.2)
    with pytest.raises(ValueError, match="share=1, expected a number between 0 and 1"):
        images.split(1)


def test_files_are_read_at_the_wanted_size_and_damaged_ones_named(tmp_path, images):
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(np.asarray(images.pictures)[number]).save(files[-1])
    stored = LabelledImages(classes=CLASSES, labels=np.array([0, 1, 2]), pictures=files)
    read = stored.in_memory((6, 8))
    assert np.array_equal(read.pictures, np.asarray(images.pictures)[:3])
    assert stored.in_memory((12, 10)).picture(1, (12, 10)).shape == (12, 10, 3)
    files[1].write_bytes(files[1].read_bytes()[:60])
    files[2].unlink()
    with pytest.raises(ValueError, match=r"(?s)2 images cannot be read; .*1\.png: .*2\.png: "):
        stored.in_memory((6, 8))


def test_grey_pixels_get_three_equal_colours():
    pixels = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    images = LabelledImages.from_pixels(pixels, [0, 1], ("a", "b"))
    assert np.array_equal(images.picture(1, (4, 4))[..., 2], pixels[1])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"labels": [0, 3]}, r"labels are 0 to 3, expected 0 to 1, the indices of 2 classes"),
        ({"labels": [0]}, "2 pictures and 1 labels"),
        ({"classes": ["a"]}, "classes are a, expected at least two"),
        ({"classes": ["a", "a"]}, "classes are a, a, expected at least two with names of their own"),
        ({"pixels": np.zeros((2, 4, 4, 3))}, r"pixels are float64 of shape \(2, 4, 4, 3\), expected uint8"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, message):
    usual = {"pixels": np.zeros((2, 4, 4), np.uint8), "labels": [0, 1], "classes": ["a", "b"]}
    with pytest.raises(ValueError, match=message):
        LabelledImages.from_pixels(**{**usual, **parts})


def test_paths_are_files(tmp_path):
    images = LabelledImages(classes=CLASSES, labels=np.array([2]), pictures=[Path("nothing.png")])
    with pytest.raises(ValueError, match=r"1 image cannot be read; .*\n  nothing\.png: unreadable"):
        images.in_memory((4, 4))
