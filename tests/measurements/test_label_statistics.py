import math

import numpy as np
import pytest

from nnunet_mamba.measurements.label_statistics import measure

LABELS = {"background": 0, "lesion": 1, "hair": 2}


def test_an_image_is_measured_in_pixels_and_in_mm():
    label_map = np.zeros((20, 30), np.uint8)
    label_map[2:12, 5:20] = 1
    lesion, _ = measure(label_map, labels=LABELS, spacing=(0.2, 0.1))
    assert (lesion.label, lesion.is_empty, lesion.n_parts) == ("lesion", False, 1)
    assert (lesion.area_px, lesion.area_mm2) == (150, pytest.approx(3.0))
    assert lesion.share_percent == 25.0
    assert lesion.centroid == (6.5, 12.0)
    assert (lesion.first, lesion.last) == ((2, 5), (11, 19))
    assert lesion.longest_diameter_px == pytest.approx(math.hypot(15, 9))
    assert lesion.longest_diameter_mm == pytest.approx(math.hypot(10 * 0.2, 14 * 0.1))
    assert lesion.perimeter_px == pytest.approx(50, rel=0.07)
    assert lesion.perimeter_mm == pytest.approx(7.0, rel=0.07)


@pytest.mark.parametrize("spacing", [(0.5, 0.5), (0.5, 0.25)])
def test_equal_spacings_are_a_factor(spacing):
    y, x = np.indices((60, 60)) - 30
    (lesion,) = measure((y**2 + x**2 < 400).astype(np.uint8), labels={"lesion": 1}, spacing=spacing)
    is_factor = spacing[0] == spacing[1]
    assert (lesion.perimeter_mm == lesion.perimeter_px * spacing[0]) == is_factor
    assert (lesion.longest_diameter_mm == lesion.longest_diameter_px * spacing[0]) == is_factor


def test_without_a_spacing_there_are_no_mm():
    (lesion,) = measure(np.ones((3, 4), np.uint8), labels={"lesion": 1})
    assert (lesion.area_px, lesion.area_mm2, lesion.perimeter_mm, lesion.longest_diameter_mm) == (12, None, None, None)
    assert lesion.share_percent == 100.0
    (organ,) = measure(np.ones((2, 3, 4), np.uint8), labels={"organ": 1})
    assert (organ.volume_voxels, organ.volume_ml, organ.surface_mm2, organ.longest_diameter_mm) == (
        24,
        None,
        None,
        None,
    )
    assert organ.longest_axial_diameter_px == pytest.approx(math.hypot(4, 2))
    assert organ.longest_axial_diameter_mm is None
    assert organ.longest_axial_diameter_slice == 0


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0)])
def test_what_is_not_there_is_told(spacing):
    lesion, hair = measure(np.zeros((4, 5), np.uint8), labels=LABELS, spacing=spacing)
    assert lesion.is_empty
    assert hair.is_empty
    assert (lesion.area_px, lesion.n_parts, lesion.share_percent) == (0, 0, 0.0)
    assert lesion.area_mm2 == (None if spacing is None else 0.0)
    nothing = (lesion.perimeter_px, lesion.longest_diameter_px, lesion.centroid, lesion.first, lesion.last)
    assert nothing == (None,) * 5


def test_an_empty_volume_is_told():
    (organ,) = measure(np.zeros((2, 4, 5), np.uint8), labels={"organ": 1}, spacing=(1.0, 1.0, 1.0))
    assert (organ.is_empty, organ.volume_voxels, organ.volume_ml, organ.surface_mm2) == (True, 0, 0.0, None)
    assert organ.longest_axial_diameter_slice is None


def test_a_volume_is_measured_in_voxels_and_mm():
    label_map = np.zeros((10, 50, 40), np.uint8)
    label_map[3:7, 10:40, 5:35] = 2
    _, organ = measure(label_map, labels={"other": 1, "organ": 2}, spacing=(5.0, 0.5, 1.0))
    assert (organ.volume_voxels, organ.volume_ml) == (3600, pytest.approx(9.0))
    assert organ.share_percent == pytest.approx(18.0)
    assert (organ.first, organ.last, organ.centroid) == ((3, 10, 5), (6, 39, 34), (4.5, 24.5, 19.5))
    assert organ.longest_axial_diameter_mm == pytest.approx(math.hypot(30, 14.5))
    assert organ.longest_axial_diameter_px == pytest.approx(math.hypot(30, 29))
    assert organ.longest_axial_diameter_slice == 3
    assert organ.longest_diameter_mm == pytest.approx(math.hypot(4 * 5.0, 29 * 1.0, 29 * 0.5))


def test_slices_may_be_stacked_along_any_axis():
    rng = np.random.default_rng(0)
    label_map = (rng.random((6, 9, 12)) > 0.7).astype(np.uint8)
    (expected,) = measure(label_map, labels={"organ": 1}, spacing=(3.0, 1.0, 2.0))
    turned = label_map.transpose(1, 2, 0)
    (found,) = measure(turned, labels={"organ": 1}, spacing=(1.0, 2.0, 3.0), slice_axis=2)
    for name in ("longest_axial_diameter_mm", "longest_axial_diameter_slice", "longest_diameter_mm", "volume_ml"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name)), name
    assert found.surface_mm2 == pytest.approx(expected.surface_mm2)
    assert found.first == (*expected.first[1:], expected.first[0])


def test_regions_join_labels_and_parts_are_counted():
    label_map = np.array([[1, 2, 0, 1], [0, 0, 0, 0], [2, 0, 0, 0]], np.int16)
    whole, core = measure(label_map, labels={"whole": (1, 2), "core": [2]})
    assert (whole.area_px, whole.n_parts) == (4, 3)
    assert (core.area_px, core.n_parts) == (2, 2)


@pytest.mark.parametrize(
    "label_map", [np.zeros((3, 4)), np.zeros(5, np.uint8), np.zeros((0, 4), np.uint8), np.zeros((1, 2, 3, 4), np.uint8)]
)
def test_what_is_no_label_map_is_refused(label_map):
    with pytest.raises(ValueError, match=r"the label map is .*, expected whole numbers, \(y, x\) or \(z, y, x\)"):
        measure(label_map, labels=LABELS)


@pytest.mark.parametrize("spacing", [(1.0,), (1.0, 1.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0)])
def test_spacings_that_do_not_fit_are_refused(spacing):
    with pytest.raises(ValueError, match=r"the spacing is .*, expected 2 numbers above 0 in mm"):
        measure(np.zeros((3, 4), np.uint8), labels=LABELS, spacing=spacing)
