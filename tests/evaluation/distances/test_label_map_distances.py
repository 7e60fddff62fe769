import dataclasses
import math

import numpy as np
import pytest

from nnunet_mamba.evaluation.distances.conventions import DistanceMeasure
from nnunet_mamba.evaluation.distances.label_map_distances import label_map_distances
from nnunet_mamba.evaluation.distances.mask_distances import mask_distances

MEASURE = DistanceMeasure()
SPACING = (3.0, 0.8, 1.1)


def label_maps(shape=(6, 12, 10), n_labels=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, n_labels, shape, np.uint8), rng.integers(0, n_labels, shape, np.uint8)


def same(found, expected):
    return dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(expected), nan_ok=True)


def test_each_label_and_region_is_measured_as_a_mask_of_the_whole_image():
    predicted, reference = label_maps()
    predicted[:, :7], reference[:, :5] = 0, 0
    one, region = label_map_distances(predicted, reference, (2, (1, 3)), measure=MEASURE, spacing=SPACING)
    assert same(one, mask_distances(predicted == 2, reference == 2, MEASURE, spacing=SPACING))
    masks = (np.isin(label_map, (1, 3)) for label_map in (predicted, reference))
    assert same(region, mask_distances(*masks, MEASURE, spacing=SPACING))


def test_an_absent_label_has_no_score_and_a_missed_one_the_diagonal_of_the_whole_image():
    predicted, reference = np.zeros((2, 30, 40), np.uint8)
    reference[3:5, 3:5] = 2
    absent, missed = label_map_distances(predicted, reference, (1, 2), measure=MEASURE)
    assert math.isnan(absent.hd95)
    assert (missed.hd95, missed.nsd) == (50, 0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_of_one_slice_is_measured_in_its_plane(axis):
    predicted, reference = label_maps((12, 10))
    spacing = list(SPACING[1:])
    (in_plane,) = label_map_distances(predicted, reference, (1,), measure=MEASURE, spacing=spacing)
    spacing.insert(axis, 999.0)
    thick = [np.expand_dims(label_map, axis) for label_map in (predicted, reference)]
    (as_volume,) = label_map_distances(*thick, (1,), measure=MEASURE, spacing=spacing)
    assert same(as_volume, in_plane)


def test_what_the_reference_ignores_belongs_to_no_label():
    predicted, reference = np.zeros((2, 30, 40), np.uint8)
    predicted[2:8, 2:8], reference[2:8, 2:8] = 1, 1
    predicted[20:25, 20:25] = 1
    (apart,) = label_map_distances(predicted, reference, (1,), measure=MEASURE)
    assert apart.assd > 1
    reference[18:28, 18:28] = 9
    (ignored,) = label_map_distances(predicted, reference, (1,), measure=MEASURE, ignored=9)
    assert dataclasses.astuple(ignored) == (0, 0, 1)
