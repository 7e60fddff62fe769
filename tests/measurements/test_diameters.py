import math

import numpy as np
import pytest
from closed_forms import ball, box, ellipse, rectangle
from scipy.spatial.distance import pdist

from nnunet_mamba.measurements import diameters as module
from nnunet_mamba.measurements.connected_parts import find_parts
from nnunet_mamba.measurements.diameters import longest_axial_diameter, longest_diameter

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 1.0, 0.5), (0.7, 0.7, 5.0)]


def outline_points(mask, spacing):
    """All points half-way between a position inside and a neighbour outside, in mm."""
    padded, points = np.pad(mask, 1), []
    for axis in range(mask.ndim):
        for side in (1, -1):
            neighbour = np.roll(padded, -side, axis)[(slice(1, -1),) * mask.ndim]
            found = np.argwhere(mask & ~neighbour).astype(float)
            found[:, axis] += side / 2
            points.append(found)
    return np.concatenate(points) * spacing


def slow_diameter(mask, spacing):
    parts = find_parts(mask)
    parts = [parts.numbers == number + 1 for number in range(len(parts))]
    return max((pdist(outline_points(part, spacing)).max() for part in parts), default=0.0)


@pytest.mark.parametrize("shape", [(9, 11), (1, 8), (8, 1), (1, 1), (5, 6, 7), (1, 6, 5), (6, 1, 1), (1, 1, 1)])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_no_two_points_of_an_outline_are_further_apart(shape, spacing):
    rng, spacing = np.random.default_rng(0), spacing[: len(shape)]
    for density in (0.2, 0.4, 0.9):
        mask = rng.random(shape) < density
        assert longest_diameter(find_parts(mask), spacing) == pytest.approx(slow_diameter(mask, spacing), rel=1e-12)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_longest_axial_diameter_is_that_of_the_best_slice(spacing):
    rng = np.random.default_rng(0)
    for density in (0.2, 0.4, 0.9):
        mask = rng.random((6, 7, 9)) < density
        expected = [slow_diameter(plane, spacing[1:]) for plane in mask]
        diameter, index = longest_axial_diameter(mask, spacing[1:])
        assert diameter == pytest.approx(max(expected), rel=1e-12)
        assert expected[index] == pytest.approx(diameter, rel=1e-12)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.05, 0.05), (3.0, 1.0), (1.0, 0.4)])
def test_closed_forms_are_right_to_one_spacing(spacing):
    rng, unit = np.random.default_rng(0), max(spacing)
    for angle in np.linspace(0.0, math.pi, 7):
        for mask, diameter in (
            (ball(30 * unit, spacing, rng), 60 * unit),
            (ellipse((40 * unit, 15 * unit), angle, spacing, rng), 80 * unit),
            (rectangle((60 * unit, 25 * unit), angle, spacing, rng), 65 * unit),
        ):
            assert longest_diameter(find_parts(mask), spacing) == pytest.approx(diameter, abs=unit)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_closed_forms_in_space_are_right_to_one_spacing(spacing):
    rng, unit = np.random.default_rng(0), max(spacing)
    mask = ball(12 * unit, spacing, rng)
    assert longest_diameter(find_parts(mask), spacing) == pytest.approx(24 * unit, abs=unit)
    assert longest_axial_diameter(mask, spacing[1:])[0] == pytest.approx(24 * unit, abs=unit)
    mask = box((12 * unit, 9 * unit, 8 * unit), spacing, rng)
    assert longest_diameter(find_parts(mask), spacing) == pytest.approx(17 * unit, abs=unit)


def test_a_row_of_pixels_is_as_long_as_it_has_pixels():
    assert longest_diameter(find_parts(np.ones((1, 7), bool)), (1.0, 1.0)) == 7.0
    assert longest_diameter(find_parts(np.ones((1, 1), bool)), (3.0, 0.5)) == 3.0
    assert longest_diameter(find_parts(np.ones((4, 1, 1), bool)), (2.5, 1.0, 1.0)) == 10.0


def test_a_speck_far_away_does_not_make_a_lesion_longer():
    mask = np.zeros((50, 50), bool)
    mask[:10, :10] = True
    before = longest_diameter(find_parts(mask), (1.0, 1.0))
    mask[49, 49] = True
    assert longest_diameter(find_parts(mask), (1.0, 1.0)) == before


def test_the_slice_with_the_longest_diameter_need_not_have_the_largest_area():
    mask = np.zeros((2, 12, 30), bool)
    mask[0, :, :12] = True
    mask[1, 0, :] = True
    assert longest_axial_diameter(mask, (1.0, 1.0)) == (30.0, 1)


def test_few_distances_at_once_find_the_same(monkeypatch):
    mask = ball(20.0, (1.0, 1.0), np.random.default_rng(0))
    at_once = longest_diameter(find_parts(mask), (1.0, 1.0))
    monkeypatch.setattr(module, "_MOST_DISTANCES", 5)
    assert longest_diameter(find_parts(mask), (1.0, 1.0)) == at_once


def test_nothing_has_no_diameter():
    assert longest_diameter(find_parts(np.zeros((3, 3), bool)), (1.0, 1.0)) == 0.0
