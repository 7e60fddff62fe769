import itertools

import numpy as np
import pytest
from PIL import Image, ImageOps

from nnunet_mamba.data.formats.nifti_files import Volume
from nnunet_mamba.data.restoring.source_grid import OtherGridError, picture_label_back, volume_label_back


def random_label(*shape):
    return np.random.default_rng(0).integers(0, 3, shape, dtype=np.uint8)


def test_a_picture_of_its_own_size_stays_as_it_is():
    label = random_label(30, 41)
    assert np.array_equal(picture_label_back(label, {"shape": [30, 41]}, None), label)


@pytest.mark.parametrize("factor", [1, 3, 8])
def test_every_pixel_of_the_source_takes_the_nearest_pixel(factor):
    label = random_label(16, 24)
    restored = picture_label_back(label, {"shape": [16 * factor, 24 * factor]}, (16, 24))
    assert np.array_equal(restored, label.repeat(factor, axis=0).repeat(factor, axis=1))


def test_a_blob_that_was_resized_keeps_its_place():
    y, x = np.mgrid[:301, :402]
    blob = ((y - 120) ** 2 + (x - 250) ** 2 < 60**2).astype(np.uint8)
    small = np.asarray(Image.fromarray(blob).resize((128, 128), Image.Resampling.NEAREST))
    restored = picture_label_back(small, {"shape": [301, 402]}, (128, 128))
    assert np.abs(np.argwhere(restored).mean(axis=0) - (120, 250)).max() < 0.5
    assert 2 * np.count_nonzero(restored & blob) / (restored.sum() + blob.sum()) > 0.97


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_picture_is_turned_back_to_the_stored_pixels(orientation):
    stored = random_label(20, 33)
    image = Image.fromarray(stored)
    image.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image))
    assert not np.array_equal(upright, stored)
    source = {"shape": list(upright.shape), "orientation": orientation}
    assert np.array_equal(picture_label_back(upright, source, None), stored)


@pytest.mark.parametrize(("size", "expected"), [((16, 16), "16 x 16"), (None, "50 x 40")])
def test_a_picture_of_another_size_is_refused_with_both_sizes(size, expected):
    with pytest.raises(OtherGridError, match=rf"24 x 20 pixels, its converted image {expected} \(width x height\)"):
        picture_label_back(random_label(20, 24), {"shape": [40, 50]}, size)


AFFINE = np.array([[-0.7, 0.1, 0, 40], [0.1, 0.7, 0, -25], [0, 0, 3, 11], [0, 0, 0, 1.0]])
SIZE = np.array([7, 6, 5])  # x, y, z


def converted(stored, axes, signs, low, high):
    """Cut out ``low`` to ``high`` of a source (x, y, z) and turn it, as a conversion might."""
    cut = stored[tuple(slice(first, last) for first, last in zip(low, high, strict=True))]
    turned = cut.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
    index = np.eye(4)
    index[:3, :3] = 0
    for axis, (source_axis, sign) in enumerate(zip(axes, signs, strict=True)):
        index[source_axis, axis] = sign
        index[source_axis, 3] = low[source_axis] if sign > 0 else high[source_axis] - 1
    return Volume(turned.T, AFFINE @ index)


@pytest.mark.parametrize("axes", itertools.permutations(range(3)))
@pytest.mark.parametrize("signs", itertools.product((1, -1), repeat=3))
def test_a_volume_is_turned_and_placed_where_its_source_lies(axes, signs):
    stored = random_label(*SIZE)
    low, high = np.array([1, 0, 2]), np.array([6, 6, 4])
    source = {"shape": SIZE[::-1].tolist(), "affine": AFFINE.tolist()}
    restored = volume_label_back(converted(stored, axes, signs, low, high), source)
    inside = tuple(slice(first, last) for first, last in zip(low, high, strict=True))
    expected = np.zeros_like(stored)
    expected[inside] = stored[inside]
    assert np.array_equal(restored.voxels.T, expected)
    assert np.array_equal(restored.affine, AFFINE)


def test_a_volume_whose_place_is_not_remembered_keeps_it():
    label = Volume(random_label(5, 6, 7), AFFINE)
    assert volume_label_back(label, {"shape": [5, 6, 7]}) is label
    with pytest.raises(OtherGridError, match=r"5 x 6 x 7 voxels, its converted image 4 x 6 x 7 \(z, y, x\)"):
        volume_label_back(label, {"shape": [4, 6, 7]})


def test_rounding_in_the_header_does_not_matter():
    label = Volume(random_label(5, 6, 7), AFFINE.astype(np.float32).astype(float) + 1e-5)
    restored = volume_label_back(label, {"shape": [5, 6, 7], "affine": AFFINE.tolist()})
    assert np.array_equal(restored.voxels, label.voxels)
    assert np.array_equal(restored.affine, AFFINE)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (np.diag([2.0, 1, 1, 1]), "is not on the grid of its source"),
        (np.array([[1, 0, 0, 0.4], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "is not on the grid of its source"),
        (np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "is not on the grid of its source"),
        (
            np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
            r"from voxel 1 x 0 x 0 to 7 x 5 x 4 of its source, which has 7 x 6 x 5 \(x, y, z\)",
        ),
    ],
    ids=["spacing", "shifted", "sheared", "beyond"],
)
def test_a_volume_on_another_grid_is_refused(change, text):
    source = {"shape": [5, 6, 7], "affine": AFFINE.tolist()}
    with pytest.raises(OtherGridError, match=text):
        volume_label_back(Volume(random_label(5, 6, 7), AFFINE @ change), source)
