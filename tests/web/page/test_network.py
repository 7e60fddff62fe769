import numpy as np
import pytest

MIRRORED = """
import { mirrored, mirroredCopies } from "./network.js";
const planes = Float32Array.from(read("planes"));
const size = { width: 5, height: 4 };
const found = mirroredCopies(given).map((copy) => mirrored(planes, size, copy));
write("copies", Uint8Array.from(found.flatMap((copy) => [...copy])));
told = found.length;
"""
# A network whose logit is high where the picture is bright: what it is shown is what it says.
SHOWN = """
import { Network } from "./network.js";
class Tensor {
  constructor(type, data, dims) {
    Object.assign(this, { type, data, dims });
  }
}
const shown = [];
const session = {
  run: async ({ image }) => {
    shown.push([...image.data]);
    const lesion = bright(image.data);
    return { logits: { data: given.n === 1 ? lesion : [...lesion.map(() => 0), ...lesion] } };
  },
};
const bright = (data) => [...data.slice(0, 20)].map((value) => value - 100);
const network = new Network({ Tensor }, session, { size: { width: 5, height: 4 }, mirror_axes: given.axes });
const probabilities = await network.probabilities(read("pixels"));
told = { shown, probabilities: [...probabilities] };
"""


@pytest.mark.parametrize(("axes", "n"), [([], 1), ([0], 2), ([1], 2), ([0, 1], 4)])
def test_copies_are_mirrored_along_the_axes_of_the_training(node, axes, n):
    planes = np.arange(40, dtype=np.uint8).reshape(2, 4, 5)
    assert node.run(MIRRORED, given=axes, planes=planes) == n
    ways = [(), *((axis + 1,) for axis in axes), *([(1, 2)] if len(axes) == 2 else [])]
    np.testing.assert_array_equal(node.array("copies", (n, 2, 4, 5)), [np.flip(planes, way) for way in ways])


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("axes", [[], [0, 1]])
def test_probabilities_lie_where_their_pixels_are(node, axes, n):
    pixels = np.random.default_rng(0).integers(50, 150, (4, 5, 3), dtype=np.uint8)
    told = node.run(SHOWN, given={"axes": axes, "n": n}, pixels=pixels)
    expected = 1 / (1 + np.exp(100.0 - pixels[..., 0]))
    np.testing.assert_allclose(np.reshape(told["probabilities"], (4, 5)), expected, rtol=1e-5)


def test_what_is_inside_a_black_margin_is_shown_in_the_middle(node):
    pixels = np.zeros((4, 5, 3), dtype=np.uint8)
    pixels[2:4, 3:5] = np.arange(101, 113).reshape(2, 2, 3)
    told = node.run(SHOWN, given={"axes": [], "n": 1}, pixels=pixels)
    expected = np.pad(pixels[2:4, 3:5], ((1, 1), (1, 2), (0, 0))).transpose(2, 0, 1)
    np.testing.assert_array_equal(np.reshape(told["shown"], (3, 4, 5)), expected)
    np.testing.assert_array_equal(np.reshape(told["probabilities"], (4, 5)) > 0.5, pixels[..., 0] > 0)
