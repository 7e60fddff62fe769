import json
import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from nnunet_mamba.evaluation.distances.boundary_elements import element_sizes, find_boundary

# Copied from the tables of surface-distance 0.1, in the order of our codes.
TABLES = json.loads(Path(__file__).with_name("surface_distance_tables.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("spacing", "table"), [((1, 1.7), "lengths"), ((1, 1.7, 3.1), "areas")], ids=["2d", "3d"])
def test_sizes_are_those_of_the_published_tables(spacing, table):
    np.testing.assert_allclose(element_sizes(spacing), TABLES[table], atol=1e-8)


@pytest.mark.parametrize("dims", [2, 3])
def test_sizes_do_not_depend_on_the_order_and_direction_of_axes(dims):
    spacing = (0.7, 1.3, 2.9)[:dims]
    turned = element_sizes(spacing[::-1])
    offsets = [offset[::-1] for offset in product((0, 1), repeat=dims)]
    for code, size in enumerate(element_sizes(spacing)):
        inside = [offset for bit, offset in enumerate(offsets) if code >> bit & 1]
        reversed_code = sum(1 << offsets.index(offset[::-1]) for offset in inside)
        mirrored_code = sum(1 << offsets.index((1 - offset[0], *offset[1:])) for offset in inside)
        assert turned[reversed_code] == pytest.approx(size)
        assert element_sizes(spacing)[mirrored_code] == pytest.approx(size)


def test_a_pixel_has_four_slanted_sides_and_a_voxel_eight():
    pixel = find_boundary(np.ones((1, 1), bool), (3.0, 4.0))
    assert pixel.sizes.tolist() == [2.5] * 4
    voxel = find_boundary(np.ones((1, 1, 1), bool), (1.0, 2.0, 3.0))
    assert voxel.sizes.tolist() == pytest.approx([math.hypot(6, 3, 2) / 8] * 8)


@pytest.mark.parametrize(("shape", "spacing"), [((7, 9), (2.0, 0.5)), ((4, 6, 5), (3.0, 1.0, 0.5))])
def test_the_boundary_of_a_whole_image_is_a_box_with_slanted_edges(shape, spacing):
    boundary = find_boundary(np.ones(shape, bool), spacing)
    # Elements lie on the outermost corners of the grid, all of them.
    assert len(boundary.points) == math.prod(n + 1 for n in shape) - math.prod(n - 1 for n in shape)
    assert boundary.points.max(axis=0).tolist() == [n * step for n, step in zip(shape, spacing, strict=True)]
    inner = [(n - 1) * step for n, step in zip(shape, spacing, strict=True)]
    if len(shape) == 2:
        expected = 2 * sum(inner) + 2 * math.hypot(*spacing)
    else:
        faces = 2 * sum(math.prod(inner) / side for side in inner)
        edges = 4 * sum(
            side * math.hypot(*(step for step in spacing if step != own)) / 2
            for side, own in zip(inner, spacing, strict=True)
        )
        volume = math.prod(spacing)
        expected = faces + edges + math.hypot(*(volume / step for step in spacing))
    assert boundary.sizes.sum() == pytest.approx(expected)


def test_the_boundary_of_a_slanted_line_is_as_long_as_the_line():
    mask = np.tri(60, dtype=bool)
    boundary = find_boundary(mask, (1.0, 1.0))
    on_diagonal = np.abs(boundary.points[:, 0] - boundary.points[:, 1]) <= 1
    inner = on_diagonal & (boundary.points > 2).all(axis=1) & (boundary.points < 58).all(axis=1)
    # Two elements of half a diagonal for each row.
    assert boundary.sizes[inner].sum() == pytest.approx(math.sqrt(2) / 2 * np.count_nonzero(inner))
