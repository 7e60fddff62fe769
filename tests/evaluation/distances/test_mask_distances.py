import math

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from nnunet_mamba.evaluation.distances.boundary_elements import find_boundary
from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure
from nnunet_mamba.evaluation.distances.mask_distances import mask_distances

SURFACE, MEDPY = DistanceMeasure(), DistanceMeasure(convention="medpy")


def ball(shape, centre, radius, spacing):
    places = np.meshgrid(*(np.arange(n) * step for n, step in zip(shape, spacing, strict=True)), indexing="ij")
    return sum((place - middle) ** 2 for place, middle in zip(places, centre, strict=True)) <= radius**2


def box(shape, *sides):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask


def values(distances):
    return [distances.hd95, distances.assd, distances.nsd]


def random_masks(seed, shape):
    rng = np.random.default_rng(seed)
    return rng.random(shape) < 0.2, rng.random(shape) < 0.1


# Figures of surface-distance 0.1 and medpy 0.5.2; MONAI 1.6.1 (use_subvoxels=True) has the same NSD.
DISCS = ((40, 50), (1.0, 1.0), ((18, 22), 11), ((20, 27), 13))
BALLS = ((14, 40, 36), (3.0, 0.8, 0.9), ((20, 16, 15), 11), ((22, 14, 18), 9.5))


@pytest.mark.parametrize(
    ("shapes", "hd95", "nsd", "medpy"),
    [
        (DISCS, 7.0710678118654755, 0.35144185006311407, (7.0710678118654755, 3.491972138742273)),
        (BALLS, 4.753945729601885, 0.4106339747346965, (4.123105625617661, 1.3283212895621335)),
    ],
    ids=["discs", "balls"],
)
def test_figures_are_those_of_the_published_packages(shapes, hd95, nsd, medpy):
    shape, spacing, one, other = shapes
    masks = ball(shape, *one, spacing), ball(shape, *other, spacing)
    tolerance = 2.0 if len(shape) == 2 else 1.0
    distances = mask_distances(*masks, DistanceMeasure(tolerance=tolerance), spacing=spacing)
    assert distances.hd95 == pytest.approx(hd95, abs=1e-9)
    assert distances.nsd == pytest.approx(nsd, abs=1e-9)
    in_voxels = mask_distances(*masks, MEDPY, spacing=spacing)
    assert (in_voxels.hd95, in_voxels.assd) == pytest.approx(medpy, abs=1e-9)
    assert math.isnan(in_voxels.nsd)


@pytest.mark.parametrize(("shape", "spacing"), [((13, 17), (0.7, 1.9)), ((6, 9, 8), (3.0, 0.8, 1.1))])
@pytest.mark.parametrize("seed", range(4))
def test_nearest_elements_are_those_that_all_distances_show(shape, spacing, seed):
    masks = random_masks(seed, shape)
    boundaries = [find_boundary(mask, spacing) for mask in masks]
    table = np.linalg.norm(boundaries[0].points[:, None] - boundaries[1].points, axis=-1)
    directions = [(table.min(axis=1), boundaries[0].sizes), (table.min(axis=0), boundaries[1].sizes)]
    total = sum(sizes.sum() for _, sizes in directions)
    for tolerance in (0.0, 1.0, 2.5):
        found = mask_distances(*masks, DistanceMeasure(tolerance=tolerance), spacing=spacing)
        assert found.assd == pytest.approx(sum((near * sizes).sum() for near, sizes in directions) / total)
        assert found.nsd == pytest.approx(sum(sizes[near <= tolerance].sum() for near, sizes in directions) / total)
        covered = [min(d for d in near if sizes[near <= d].sum() >= 0.95 * sizes.sum()) for near, sizes in directions]
        assert found.hd95 == pytest.approx(max(covered))


@pytest.mark.parametrize("shape", [(13, 17), (6, 9, 8)])
@pytest.mark.parametrize("seed", range(4))
def test_the_convention_of_medpy_is_the_distance_transforms_percentile(shape, seed):
    masks = random_masks(seed, shape)
    borders = []
    for mask in masks:
        padded = np.pad(mask, 1)
        is_inner = padded.copy()
        for axis in range(mask.ndim):
            is_inner &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
        borders.append((padded & ~is_inner)[(slice(1, -1),) * mask.ndim])
    pooled = np.concatenate(
        [distance_transform_edt(~borders[1])[borders[0]], distance_transform_edt(~borders[0])[borders[1]]]
    )
    found = mask_distances(*masks, MEDPY)
    assert (found.hd95, found.assd) == pytest.approx((np.percentile(pooled, 95), pooled.mean()))


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 2.0)])
def test_two_lesions_side_by_side_are_as_far_apart_as_their_boundaries(spacing):
    tall = (0, 30)
    # All of one boundary lies 9 columns from the other: each row is nearest to the same row.
    left, right = box((30, 40), tall, (5, 6)), box((30, 40), tall, (15, 16))
    found = mask_distances(left, right, SURFACE, spacing=spacing)
    # The near sides are 9 columns apart and the far ones 10 from the near ones; ends lie in rows that both have.
    assert found.hd95 == pytest.approx(10 * spacing[1])
    assert found.assd == pytest.approx(9.5 * spacing[1])
    assert found.nsd == 0


@pytest.mark.parametrize("step", [0.5, 1.0, 3.0])
def test_concentric_discs_are_apart_by_the_difference_of_their_radii(step):
    shape, middle, spacing = (121, 121), (60 * step, 60 * step), (step, step)
    small, large = ball(shape, middle, 30 * step, spacing), ball(shape, middle, 40 * step, spacing)
    found = mask_distances(small, large, SURFACE, spacing=spacing)
    assert found.hd95 == pytest.approx(10 * step, abs=0.9 * step)
    # Elements lie on corners of the grid, and the nearest of several around a boundary is a little nearer than it.
    assert found.assd == pytest.approx(10 * step, abs=0.5 * step)
    assert mask_distances(small, large, DistanceMeasure(tolerance=12 * step), spacing=spacing).nsd == 1


def test_a_turned_square_is_as_far_away_as_an_upright_one():
    rows, columns = np.meshgrid(np.arange(200) - 99.5, np.arange(200) - 99.5, indexing="ij")
    found = []
    for angle in (0.0, 0.3, math.pi / 4):
        u = rows * math.cos(angle) + columns * math.sin(angle)
        v = columns * math.cos(angle) - rows * math.sin(angle)
        small, large = (np.maximum(abs(u), abs(v)) <= half for half in (30.25, 50.25))
        found.append(mask_distances(small, large, SURFACE))
    for distances in found[1:]:
        assert distances.assd == pytest.approx(found[0].assd, rel=0.03)
        assert distances.hd95 == pytest.approx(found[0].hd95, abs=2)


def test_one_pixel_and_its_copy_three_rows_below():
    one, other = box((9, 9), (2, 3), (4, 5)), box((9, 9), (5, 6), (4, 5))
    found = mask_distances(one, other, SURFACE)
    assert values(found) == [3, 2.5, 0.5]


@pytest.mark.parametrize(("shape", "spacing"), [((12, 15), (2.0, 0.7)), ((5, 9, 8), (3.0, 0.8, 1.1))])
def test_a_mask_is_no_distance_away_from_itself(shape, spacing):
    for mask in (*random_masks(0, shape), np.ones(shape, bool)):
        assert values(mask_distances(mask, mask, SURFACE, spacing=spacing)) == [0, 0, 1]
        assert mask_distances(mask, mask, MEDPY).hd95 == 0


@pytest.mark.parametrize("measure", [SURFACE, MEDPY])
@pytest.mark.parametrize(("shape", "spacing"), [((12, 15), (2.0, 0.7)), ((5, 9, 8), (3.0, 0.8, 1.1))])
def test_the_order_of_masks_and_the_direction_of_axes_do_not_matter(measure, shape, spacing):
    one, other = random_masks(1, shape)
    expected = pytest.approx(values(mask_distances(one, other, measure, spacing=spacing)), nan_ok=True)
    assert values(mask_distances(other, one, measure, spacing=spacing)) == expected
    assert values(mask_distances(one.T, other.T, measure, spacing=spacing[::-1])) == expected
    assert values(mask_distances(one[::-1], other[::-1], measure, spacing=spacing)) == expected


@pytest.mark.parametrize("measure", [SURFACE, MEDPY])
@pytest.mark.parametrize("shape", [(12, 15), (5, 9, 8)])
def test_what_lies_around_masks_and_where_they_lie_does_not_matter(measure, shape):
    one, other = random_masks(2, shape)
    spacing = (0.1, 0.7, 0.3)[: len(shape)]
    expected = pytest.approx(values(mask_distances(one, other, measure, spacing=spacing)), nan_ok=True)
    for around in ((1, 0), (13, 4), (101, 53)):
        moved = [np.pad(mask, [around] * mask.ndim) for mask in (one, other)]
        assert values(mask_distances(*moved, measure, spacing=spacing)) == expected


def test_a_length_that_is_the_tolerance_is_within_it_wherever_it_lies():
    at_tolerance = DistanceMeasure(tolerance=0.3)
    for start in range(60):
        one, other = (box((90, 8), (row, row + 1), (0, 8)) for row in (start, start + 3))
        assert mask_distances(one, other, at_tolerance, spacing=(0.1, 0.1)).nsd == 1


@pytest.mark.parametrize("measure", [SURFACE, MEDPY])
def test_empty_masks_have_no_score_or_the_diagonal(measure):
    mask, nothing = box((30, 40), (3, 5), (3, 9)), np.zeros((30, 40), bool)
    assert all(map(math.isnan, values(mask_distances(nothing, nothing, measure))))
    for pair in ((mask, nothing), (nothing, mask)):
        found = mask_distances(*pair, measure)
        assert (found.hd95, found.assd) == (50, 50)
        assert found.nsd == 0 or (measure is MEDPY and math.isnan(found.nsd))
        in_mm = mask_distances(*pair, measure, spacing=(2.0, 2.0), image_shape=(300, 400))
        assert in_mm.hd95 == (1000 if measure is SURFACE else 500)


@pytest.mark.parametrize("measure", [SURFACE, MEDPY])
@pytest.mark.parametrize(("shape", "spacing"), [((12, 15), (2.0, 0.7)), ((5, 9, 8), (3.0, 0.8, 1.1))])
def test_no_distance_is_worse_than_predicting_nothing(measure, shape, spacing):
    corner, opposite = (box(shape, *[side] * len(shape)) for side in ((0, 1), (-1, None)))
    nothing = mask_distances(corner, np.zeros(shape, bool), measure, spacing=spacing)
    for pair in ((corner, opposite), (corner, ~corner), random_masks(3, shape)):
        found = mask_distances(*pair, measure, spacing=spacing)
        assert found.hd95 <= nothing.hd95
        assert found.assd <= nothing.assd
        assert not found.nsd < nothing.nsd


@pytest.mark.parametrize(
    ("shapes", "spacing", "text"),
    [
        (((4, 5), (5, 4)), None, r"shapes \(4, 5\) and \(5, 4\), expected the same"),
        (((4,), (4,)), None, "1 dimensions, expected 2 or 3"),
        (((4, 5), (4, 5)), (1.0, 0.0), r"spacing is \(1.0, 0.0\), expected 2 lengths in mm, each more than 0"),
        (((4, 5), (4, 5)), (1.0, 1.0, 1.0), "expected 2 lengths in mm"),
    ],
)
def test_masks_and_spacings_that_do_not_fit_are_refused(shapes, spacing, text):
    with pytest.raises(ValueError, match=text):
        mask_distances(*(np.ones(shape, bool) for shape in shapes), SURFACE, spacing=spacing)
