from itertools import islice

import numpy as np
import pytest
from PIL import Image, ImageColor

from nnunet_mamba.overlays.strokes import COLOURS, Pen, draw_line, draw_outlines, pens

YELLOW, BLUE = Pen("#ffff00", 0.0), Pen("#0000ff", 0.0)


def square(size=100, margin=30):
    mask = np.zeros((size, size), bool)
    mask[margin:-margin, margin:-margin] = True
    return mask


def drawn(*outlined, size=(200, 200), paper="white", width=6.0):
    picture = Image.new("RGB", size, paper)
    draw_outlines(picture, outlined, width=width)
    return np.asarray(picture).astype(int)


def test_a_line_lies_on_the_border_of_its_label_and_nowhere_else():
    pixels = drawn((square(), YELLOW))
    # The border is at 60 of 200; three quarters of a line of 6 lie inside.
    assert pixels[100, 62].tolist() == [255, 255, 0]
    assert pixels[100, 59].tolist() == [255, 255, 0]
    changed = np.flatnonzero((pixels[100] != 255).any(axis=-1))
    left = changed[changed < 100]
    assert 55 <= left.min() <= 58
    assert 66 <= left.max() <= 68


@pytest.mark.parametrize("paper", ["white", "black"])
def test_an_edge_keeps_a_line_visible_on_any_picture(paper):
    row = drawn((square(), YELLOW), paper=paper)[100, 50:75]
    brightness = row.sum(axis=-1)
    assert (row == [255, 255, 0]).all(axis=-1).any()
    assert brightness.min() < 200


def test_lines_are_smooth():
    y, x = np.indices((100, 100)) - 50
    pixels = drawn((y**2 + x**2 < 900, Pen("#ffffff", 0.0)), paper="black")
    assert len(np.unique(pixels[..., 0])) > 6


def test_neighbours_have_a_line_each():
    left = square()
    right = np.roll(left, 40, axis=1)
    row = drawn((left, YELLOW), (right, BLUE))[100]
    at_border = slice(140 - 6, 140 + 6)
    assert (row[at_border] == [255, 255, 0]).all(axis=-1).sum() >= 2
    assert (row[at_border] == [0, 0, 255]).all(axis=-1).sum() >= 2


def test_holes_have_a_line_within_the_label():
    ring = square(margin=10) & ~square(margin=30)
    row = drawn((ring, YELLOW))[100]
    # The hole begins at 60; the line lies before.
    assert (row[56] == [255, 255, 0]).all()
    assert (row[66] == 255).all()


def test_one_pixel_of_a_large_photograph_is_seen():
    mask = np.zeros((3000, 4000), bool)
    mask[1500, 2000] = True
    pixels = drawn((mask, YELLOW), size=(2048, 1536), width=8.0)
    yellow = (pixels == [255, 255, 0]).all(axis=-1)
    assert yellow[766:771, 1022:1027].sum() >= 4


@pytest.mark.parametrize("mask", [np.zeros((9, 9), bool), np.ones((9, 9), bool), np.ones((1, 1), bool)])
def test_nothing_and_everything_can_be_drawn(mask):
    pixels = drawn((mask, YELLOW), size=(90, 70))
    assert (pixels == 255).all() == (not mask.any())


def test_dashes_leave_gaps():
    picture = Image.new("RGB", (220, 20), "black")
    draw_line(picture, np.array([[10.0, 10.0], [210.0, 10.0]]), Pen("#ffffff", 5.0), width=4.0)
    row = np.asarray(picture)[10, 10:210, 0] > 127
    assert np.count_nonzero(np.diff(row.astype(int))) in (9, 10)
    assert row.mean() == pytest.approx(0.5, abs=0.05)


def test_pens_differ_in_colour_first_and_then_in_their_line():
    first = list(islice(pens(), 3 * len(COLOURS) + 1))
    assert len(set(first)) == 3 * len(COLOURS)
    assert first[-1] == first[0]
    assert len({pen.colour for pen in first[: len(COLOURS)]}) == len(COLOURS)
    assert {pen.dash for pen in first[: len(COLOURS)]} == {0.0}


# What the three kinds of cones see of a colour where one of them is missing: Viénot, Brettel and Mollon 1999,
# doi:10.1002/(SICI)1520-6378(199908)24:4<243::AID-COL5>3.0.CO;2-3, in linear RGB.
DICHROMATS = {
    "protanopia": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "deuteranopia": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}


@pytest.mark.parametrize("kind", DICHROMATS)
def test_colours_differ_for_people_with_two_kinds_of_cones(kind):
    linear = (np.array([ImageColor.getrgb(colour) for colour in COLOURS]) / 255) ** 2.2
    seen = (linear @ np.array(DICHROMATS[kind]).T).clip(0, 1) ** (1 / 2.2)
    distances = np.linalg.norm(seen[:, None] - seen, axis=-1)
    assert distances[~np.eye(len(COLOURS), dtype=bool)].min() > 0.1
