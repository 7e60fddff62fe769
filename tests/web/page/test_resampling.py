import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nnunet_mamba.data.formats.image_files import load_upright, resized_image, resized_mask

RESIZE = """
import { BicubicResizer } from "./resampling.js";
const { size, target, rows } = given;
const pixels = read("pixels");
const resizer = new BicubicResizer(size, target);
const step = rows * 4 * size.width;
for (let start = 0; start < pixels.length; start += step) resizer.add(pixels.subarray(start, start + step));
write("resized", resizer.result());
"""
NEAREST = """
import { areaAtSize, resizedMask } from "./resampling.js";
const mask = new Uint8Array(read("mask"));
write("resized", resizedMask(mask, given.size, given.target));
told = areaAtSize(mask, given.size, given.target);
"""
SIZES = [(300, 200), (256, 256), (100, 77), (1600, 1201), (1, 5), (3, 1), (256, 300), (511, 256), (1023, 1025)]
# Photographs so high that Pillow makes their columns shorter first.
HIGH = [(20, 600), (256, 300), (576, 1024), (300, 1500)]


def size(width, height):
    return {"width": width, "height": height}


def resized_by_the_page(node, pixels, target, *, rows=64):
    height, width, _ = pixels.shape
    rgba = np.dstack([pixels, np.full((height, width), 255, dtype=np.uint8)])
    node.run(RESIZE, given={"size": size(width, height), "target": size(*target), "rows": rows}, pixels=rgba)
    return node.array("resized", (target[1], target[0], 3))


@pytest.mark.parametrize(("width", "height"), [*SIZES, *HIGH])
def test_noise_is_resized_as_the_conversions_resize_it(node, width, height):
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = resized_image(Image.fromarray(pixels), (256, 256))
    np.testing.assert_array_equal(resized_by_the_page(node, pixels, (256, 256)), expected)


def test_hard_edges_that_overshoot_are_resized_as_the_conversions_resize_them(node):
    pixels = np.zeros((90, 120, 3), dtype=np.uint8)
    pixels[20:50, 30:80] = (255, 0, 255)
    expected = resized_image(Image.fromarray(pixels), (192, 256))
    np.testing.assert_array_equal(resized_by_the_page(node, pixels, (256, 192)), expected)


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_the_height_of_strips_changes_nothing(node, rows):
    pixels = np.random.default_rng(1).integers(0, 256, (61, 43, 3), dtype=np.uint8)
    expected = resized_image(Image.fromarray(pixels), (32, 40))
    np.testing.assert_array_equal(resized_by_the_page(node, pixels, (40, 32), rows=rows), expected)


@pytest.mark.real_data
def test_real_photographs_are_resized_as_the_conversions_resize_them(node):
    folder = os.environ.get("NNUNET_MAMBA_REAL_DATA")
    if not folder:
        pytest.skip("NNUNET_MAMBA_REAL_DATA is not set")
    files = sorted(Path(folder, "PH2Dataset").rglob("*_Dermoscopic_Image/*.bmp"))[:3]
    assert files, f"no photographs below {folder}/PH2Dataset"
    for file in files:
        pixels = load_upright(file)
        expected = resized_image(Image.fromarray(pixels), (256, 256))
        np.testing.assert_array_equal(resized_by_the_page(node, pixels, (256, 256)), expected)


@pytest.mark.parametrize(("width", "height"), [*SIZES, (4000, 3000), (6711, 4439)])
def test_masks_are_resized_as_predictions_are_brought_back(node, width, height):
    mask = np.random.default_rng(height).integers(0, 2, (256, 192), dtype=np.uint8)
    area = node.run(NEAREST, given={"size": size(192, 256), "target": size(width, height)}, mask=mask)
    expected = resized_mask(mask, (height, width))
    np.testing.assert_array_equal(node.array("resized", (height, width)), expected)
    assert area == expected.sum()
