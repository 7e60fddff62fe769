import numpy as np
import pytest
from PIL import Image, ImageOps

from nnunet_mamba.data.restoring.source_grid import picture_label_back

SIZE = {"width": 5, "height": 3}
PIXELS = np.arange(15, dtype=np.uint8).reshape(3, 5)
SCRIPT = """
import { storedRectangle, turned, turnedBack, turnedSize, uprightMatrix } from "./turning.js";
const { size, orientation } = given;
const pixels = new Uint8Array(read("pixels"));
const seen = turned(pixels, size, orientation);
const upright = turnedSize(size, orientation);
write("seen", seen);
write("back", turnedBack(seen, size, orientation));
const strips = [];
for (let first = 0; first < upright.height; first += 2) {
  const last = Math.min(first + 2, upright.height);
  const { x, y, width, height } = storedRectangle(size, orientation, { first, last });
  const part = [];
  for (let row = y; row < y + height; row++) {
    for (let column = x; column < x + width; column++) part.push(pixels[row * size.width + column]);
  }
  strips.push(...turned(Uint8Array.from(part), { width, height }, orientation));
}
write("strips", Uint8Array.from(strips));
told = { upright, matrix: uprightMatrix(size, orientation) };
"""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_the_conversions_turn_it_and_back_as_masks_are_turned_back(node, orientation):
    told = node.run(SCRIPT, given={"size": SIZE, "orientation": orientation}, pixels=PIXELS)
    picture = Image.fromarray(PIXELS)
    picture.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture))
    assert told["upright"] == {"width": expected.shape[1], "height": expected.shape[0]}
    np.testing.assert_array_equal(node.array("seen", expected.shape), expected)
    np.testing.assert_array_equal(node.array("strips", expected.shape), expected)
    np.testing.assert_array_equal(node.array("back", PIXELS.shape), PIXELS)
    source = {"shape": list(expected.shape), **({"orientation": orientation} if orientation > 1 else {})}
    np.testing.assert_array_equal(picture_label_back(expected, source, None), PIXELS)
    a, b, c, d, e, f = told["matrix"]
    for y, x in np.ndindex(3, 5):
        # Of the middle of each pixel: where a canvas would draw it.
        seen_x, seen_y = a * (x + 0.5) + c * (y + 0.5) + e, b * (x + 0.5) + d * (y + 0.5) + f
        assert expected[int(seen_y), int(seen_x)] == PIXELS[y, x]
