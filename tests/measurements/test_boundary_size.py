import math

import numpy as np
import pytest
from closed_forms import ball, box, ellipse, rectangle

from nnunet_mamba.measurements import boundary_size as module
from nnunet_mamba.measurements.boundary_size import boundary_size

IN_PLANE = [(1.0, 1.0), (0.05, 0.05), (3.0, 1.0), (0.4, 1.0), (1.0, 8.0)]
IN_SPACE = [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (5.0, 0.8, 0.8), (1.0, 2.0, 0.7)]
ANGLES = np.linspace(0.0, math.pi, 13)


@pytest.mark.parametrize("spacing", IN_PLANE)
@pytest.mark.parametrize(("radius", "tolerance"), [(5, 0.03), (10, 0.01), (40, 0.006)])
def test_discs_have_their_perimeter(spacing, radius, tolerance):
    rng = np.random.default_rng(radius)
    radius *= max(spacing)
    sizes = [boundary_size(ball(radius, spacing, rng), spacing) for _ in range(5)]
    assert sizes == pytest.approx([2 * math.pi * radius] * 5, rel=tolerance)


@pytest.mark.parametrize("spacing", IN_PLANE[:4])
@pytest.mark.parametrize(("sides", "shortest", "longest"), [((20, 10), -0.06, 0.0), ((100, 60), -0.016, 0.016)])
def test_rectangles_have_their_perimeter_in_any_direction(spacing, sides, shortest, longest):
    rng = np.random.default_rng(sides[0])
    sides = np.array(sides) * max(spacing)
    for angle in ANGLES:
        error = boundary_size(rectangle(sides, angle, spacing, rng), spacing) / (2 * sides.sum()) - 1
        assert shortest <= error <= longest, angle


@pytest.mark.parametrize("spacing", IN_PLANE[:4])
def test_ellipses_have_their_perimeter_in_any_direction(spacing):
    rng = np.random.default_rng(0)
    a, b = 50 * max(spacing), 25 * max(spacing)
    # Ramanujan's second approximation is exact to 1e-7 here.
    h = ((a - b) / (a + b)) ** 2
    perimeter = math.pi * (a + b) * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))
    for angle in ANGLES:
        assert boundary_size(ellipse((a, b), angle, spacing, rng), spacing) == pytest.approx(perimeter, rel=0.01)


@pytest.mark.parametrize("spacing", IN_SPACE)
@pytest.mark.parametrize(("radius", "tolerance"), [(5, 0.02), (10, 0.008)])
def test_balls_have_their_surface(spacing, radius, tolerance):
    rng = np.random.default_rng(radius)
    radius *= max(spacing)
    assert boundary_size(ball(radius, spacing, rng), spacing) == pytest.approx(4 * math.pi * radius**2, rel=tolerance)


@pytest.mark.parametrize("spacing", IN_SPACE[:2])
def test_boxes_have_their_surface_but_for_their_edges(spacing):
    rng = np.random.default_rng(0)
    a, b, c = sides = np.array([40.0, 30.0, 25.0]) * max(spacing)
    surface, lost = 2 * (a * b + b * c + c * a), 4 * sides.sum() * max(spacing)
    for _ in range(3):
        size = boundary_size(box(sides, spacing, rng), spacing)
        assert surface - 0.8 * lost <= size <= surface * 1.01


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (2, 50), (1, 1, 1)])
def test_thin_shapes_have_both_sides(shape):
    exact = 6 if len(shape) == 3 else 2 * sum(shape)
    n_corners = 0 if max(shape) == 1 else 4
    assert exact - 1.2 * n_corners <= boundary_size(np.ones(shape, bool), (1.0,) * len(shape)) <= exact


def test_a_spacing_stretches_a_pixel():
    assert boundary_size(np.ones((1, 1), bool), (3.0, 0.5)) == pytest.approx(7.0)
    assert boundary_size(np.ones((1, 1, 1), bool), (3.0, 0.5, 2.0)) == pytest.approx(2 * (1.5 + 6.0 + 1.0))


def test_the_edge_of_the_image_closes_a_shape():
    whole = np.ones((60, 80), bool)
    assert boundary_size(whole, (1.0, 1.0)) == pytest.approx(280, abs=4)
    assert boundary_size(np.pad(whole, 20), (1.0, 1.0)) == pytest.approx(boundary_size(whole, (1.0, 1.0)))


def test_holes_count():
    rng = np.random.default_rng(0)
    outer = ball(50.0, (1.0, 1.0), rng)
    y, x = np.indices(outer.shape) - np.reshape(outer.shape, (2, 1, 1)) // 2
    ring = outer & (y**2 + x**2 > 20**2)
    assert boundary_size(ring, (1.0, 1.0)) == pytest.approx(2 * math.pi * 70, rel=0.01)


@pytest.mark.parametrize("pattern", ["nothing", "stripes", "chessboard"])
def test_degenerate_masks_have_finite_sizes(pattern):
    y, x = np.indices((20, 30))
    mask = {"nothing": x < 0, "stripes": x % 2 == 0, "chessboard": (x + y) % 2 == 0}[pattern]
    size = boundary_size(mask, (1.0, 1.0))
    assert 0 <= size <= 4 * np.count_nonzero(mask)
    assert (size == 0) == (pattern == "nothing")


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 1.0), (1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_slabs_change_nothing(spacing, monkeypatch):
    mask = np.random.default_rng(0).random((23, 9, 8)[: len(spacing)]) > 0.6
    at_once = boundary_size(mask, spacing)
    for n in (1, 700, 2000):
        monkeypatch.setattr(module, "_SLAB", n)
        assert boundary_size(mask, spacing) == pytest.approx(at_once, rel=1e-12)


def test_ratios_of_spacings_that_are_too_large_are_cut_off():
    """Else the running means would be longer than the image."""
    size = boundary_size(np.ones((8, 200, 200), bool), (1000.0, 1.0, 1.0))
    assert size == pytest.approx(2 * 200 * 200 + 4 * 200 * 8000, rel=0.03)
