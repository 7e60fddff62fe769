import numpy as np
import pytest

SCRIPT = """
import { outlines } from "./outlines.js";
told = outlines(new Uint8Array(read("mask")), given);
"""


def outlines(node, mask):
    height, width = mask.shape
    return node.run(SCRIPT, given={"width": width, "height": height}, mask=mask)


def area(line):
    """Return the area inside of a closed line, negative around a hole."""
    x, y = np.array(line).T
    return (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2


def test_the_outline_of_a_pixel_joins_the_middles_of_its_edges(node):
    mask = np.zeros((3, 4), dtype=np.uint8)
    mask[1, 2] = 1
    (line,) = outlines(node, mask)
    assert sorted(map(tuple, line)) == [(2, 1.5), (2.5, 1), (2.5, 2), (3, 1.5)]


def test_pixels_that_share_a_corner_have_outlines_of_their_own(node):
    assert len(outlines(node, np.eye(3, dtype=np.uint8))) == 3


def test_a_hole_has_an_outline_in_the_other_direction(node):
    mask = np.ones((5, 5), dtype=np.uint8)
    mask[1:4, 1:4] = 0
    areas = sorted(map(area, outlines(node, mask)))
    # Each of the four corners loses an eighth of a pixel.
    assert areas == [-8.5, 24.5]


@pytest.mark.parametrize("seed", range(3))
def test_outlines_of_noise_are_closed_and_pass_each_edge_once(node, seed):
    mask = np.random.default_rng(seed).integers(0, 2, (13, 11), dtype=np.uint8)
    lines = outlines(node, mask)
    wide = np.pad(mask, 1).astype(int)
    n_edges = sum(np.abs(np.diff(wide, axis=axis)).sum() for axis in (0, 1))
    points = [tuple(point) for line in lines for point in line]
    assert len(points) == len(set(points)) == n_edges
    for line in lines:
        steps = np.abs(np.diff([*line, line[0]], axis=0)).sum(axis=1)
        assert (steps == 1).all()


def test_an_empty_mask_has_none(node):
    assert outlines(node, np.zeros((4, 4), dtype=np.uint8)) == []
