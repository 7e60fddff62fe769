import numpy as np
import pytest

from nnunet_mamba.prediction.postprocessing import postprocess

SCRIPT = """
import { labelMap } from "./label_map.js";
const probabilities = Float32Array.from(read("bytes"), (value) => value / 255);
write("label", labelMap(probabilities, given.size, given.options));
"""
STEPS = ("keep_largest_part", "fill_holes")


def label_of_the_page(node, values, *, threshold, steps):
    height, width = values.shape
    given = {"size": {"width": width, "height": height}, "options": {"threshold": threshold, "steps": list(steps)}}
    node.run(SCRIPT, given=given, bytes=values)
    return node.array("label", values.shape)


@pytest.mark.parametrize("steps", [(), STEPS[:1], STEPS[1:], STEPS])
@pytest.mark.parametrize("seed", range(3))
def test_label_maps_are_those_of_predict(node, steps, seed):
    rng = np.random.default_rng(seed)
    # Of noise in patches, so that there are parts, holes, and parts in holes, some of them at the border.
    values = np.kron(rng.integers(0, 256, (12, 17)), np.ones((3, 3))).astype(np.uint8)
    expected = postprocess((values / 255 > 0.41)[None].astype(np.uint8), steps)[0]
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(label_of_the_page(node, values, threshold=0.41, steps=steps), expected)


@pytest.mark.parametrize("value", [0, 255])
def test_nothing_and_everything_stay(node, value):
    values = np.full((5, 4), value, dtype=np.uint8)
    assert (label_of_the_page(node, values, threshold=0.5, steps=STEPS) == value // 255).all()


def test_the_first_of_equal_parts_stays(node):
    values = np.zeros((5, 5), dtype=np.uint8)
    values[0, 3:], values[2:4, 0] = 255, 255
    found = label_of_the_page(node, values, threshold=0.5, steps=STEPS)
    expected = postprocess((values > 127)[None].astype(np.uint8), STEPS)[0]
    np.testing.assert_array_equal(found, expected)
    assert found.sum() == 2
