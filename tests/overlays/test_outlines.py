import numpy as np
import pytest

from nnunet_mamba.overlays.outlines import outlines


def area(line):
    x, y = np.concatenate([line, line[:1]]).T
    return abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


def test_an_outline_runs_half_way_between_centres():
    mask = np.zeros((10, 12), bool)
    mask[2:5, 3:9] = True
    (line,) = outlines(mask)
    assert line.min(axis=0).tolist() == [3.0, 2.0]
    assert line.max(axis=0).tolist() == [9.0, 5.0]
    # Half of the corner pixels' halves lies outside.
    assert area(line) == pytest.approx(6 * 3 - 4 / 8)


def test_points_at_which_a_line_goes_straight_on_are_left_out():
    (line,) = outlines(np.ones((200, 300), bool))
    assert len(line) == 8


def test_the_edge_of_the_picture_closes_an_outline():
    (line,) = outlines(np.ones((4, 5), bool))
    assert (line.min(axis=0).tolist(), line.max(axis=0).tolist()) == ([0.0, 0.0], [5.0, 4.0])


def test_holes_and_parts_have_lines_of_their_own():
    mask = np.zeros((9, 20), bool)
    mask[1:8, 1:8] = True
    mask[3:6, 3:6] = False
    mask[2, 15] = True
    assert sorted(round(area(line), 1) for line in outlines(mask)) == [0.5, 8.5, 48.5]


def test_nothing_has_no_outline():
    assert outlines(np.zeros((5, 5), bool)) == []
