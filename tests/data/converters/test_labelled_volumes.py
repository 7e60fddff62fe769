from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.labelled_volumes import VolumeConverter
from nnunet_mamba.data.formats.label_values import LabelValues

LABELS = LabelValues.of({"background": 0, "organ": [1, 7], "vessel": 2})
AFFINE = np.array([[-0.5, 0, 0, 10], [0, 0.75, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1.0]])


def save(path, voxels, affine=AFFINE):
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


@pytest.fixture
def voxels():
    return np.random.default_rng(0).integers(-400, 900, (6, 5, 4), dtype=np.int16)


@pytest.fixture
def values():
    return np.resize(np.array([0, 1, 7, 2, 0], np.uint8), (6, 5, 4))


@pytest.fixture
def case(tmp_path, voxels, values):
    return Case(
        identifier="a",
        channels=(save(tmp_path / "image.nii.gz", voxels),),
        mask=save(tmp_path / "label.nii.gz", values),
    )


def written(converter, case, folder):
    volumes = []
    for number, array in enumerate(converter.read(case)):
        path = folder / f"written{number}.nii.gz"
        converter.write(path, array)
        volumes.append(nib.load(path))
    return volumes


def only_text(converter, case):
    (problem,) = converter.check(case).problems
    return problem.text


def test_good_case_has_no_problems(case, values):
    checked = VolumeConverter(labels=LABELS).check(case)
    assert checked.problems == ()
    assert checked.source == {"shape": [4, 5, 6], "affine": AFFINE.tolist()}
    assert checked.foreground == pytest.approx((values > 0).mean())


def test_image_keeps_its_values_and_label_gets_its_numbers(case, voxels, values, tmp_path):
    image, label = written(VolumeConverter(labels=LABELS), case, tmp_path)
    assert np.array_equal(np.asanyarray(image.dataobj), voxels)
    assert image.get_data_dtype() == np.int16
    expected = np.select([values == 0, values == 2], [0, 2], 1)
    assert np.array_equal(np.asanyarray(label.dataobj), expected)
    assert label.get_data_dtype() == np.uint8
    assert np.allclose(image.affine, AFFINE)
    assert np.array_equal(label.affine, image.affine)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_types_of_label_files_do_not_matter(case, values, tmp_path, dtype):
    expected = VolumeConverter(labels=LABELS).read(case)[1]
    save(case.mask, values.astype(dtype))
    assert np.array_equal(VolumeConverter(labels=LABELS).read(case)[1], expected)


def test_label_with_other_axes_is_turned_onto_its_image(case, values, tmp_path):
    expected = VolumeConverter(labels=LABELS).read(case)[1]
    turned = nib.Nifti1Image(values, AFFINE).as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
    assert turned.shape == (5, 4, 6)
    nib.save(turned, case.mask)
    assert VolumeConverter(labels=LABELS).check(case).problems == ()
    assert np.array_equal(VolumeConverter(labels=LABELS).read(case)[1], expected)


def test_label_in_another_place_is_a_problem(case, values):
    affine = AFFINE.copy()
    affine[0, 3] += 0.4
    save(case.mask, values, affine)
    assert "voxels beside its image" in only_text(VolumeConverter(labels=LABELS), case)
    with pytest.raises(ValueError, match=r"a: lies .*label.nii.gz"):
        VolumeConverter(labels=LABELS).read(case)


def test_unknown_values_are_a_problem(case, values):
    values = values.copy()
    values[0, 0, 0], values[1, :2, 0] = 9, 4
    save(case.mask, values)
    text = only_text(VolumeConverter(labels=LABELS), case)
    assert text == "2 unknown values: 4 (2x), 9 (1x); expected 0, 1, 2, 7; name them in `labels`"


def test_threshold_divides_probabilities(case, tmp_path):
    probabilities = np.linspace(0, 1, 120, dtype=np.float32).reshape(6, 5, 4)
    save(case.mask, probabilities)
    converter = VolumeConverter(labels=LabelValues.of({"foreground": 255}), threshold=0.5)
    assert np.array_equal(np.asanyarray(written(converter, case, tmp_path)[1].dataobj), probabilities > 0.5)
    probabilities[0, 0, 0] = np.nan
    save(case.mask, probabilities)
    assert "of the mask are NaN" in only_text(converter, case)


def test_channels_are_one_case(case, voxels, tmp_path):
    second = save(tmp_path / "second.nii.gz", (voxels + 1).astype(np.float32) / 2)
    *channels, _ = written(VolumeConverter(labels=LABELS), replace(case, channels=(*case.channels, second)), tmp_path)
    assert np.array_equal(channels[0].get_fdata(), voxels)
    assert np.array_equal(channels[1].get_fdata(), (voxels + 1) / 2)


def test_channel_on_another_grid_is_named(case, voxels, tmp_path):
    second = save(tmp_path / "second.nii.gz", voxels[:5])
    (problem,) = VolumeConverter(labels=LABELS).check(replace(case, channels=(*case.channels, second))).problems
    assert problem.file == second


def test_undefined_voxels_are_a_problem(case, voxels):
    voxels = voxels.astype(np.float32)
    voxels[0, 0, :2] = np.nan, np.inf
    save(case.channels[0], voxels)
    assert only_text(VolumeConverter(labels=LABELS), case).startswith("2 voxels are NaN or infinite")


def test_asks_whether_values_as_in_a_ct_are_one(case, voxels):
    voxels[0, 0, 0] = -1000
    save(case.channels[0], voxels)
    assert "`channel_names=CT`" in only_text(VolumeConverter(labels=LABELS, may_be_ct=False), case)
    assert VolumeConverter(labels=LABELS, may_be_ct=True).check(case).problems == ()


def test_spacings_that_no_scanner_has_are_a_problem(case, voxels, values):
    affine = np.diag([0.5, 0.5, 51, 1])
    save(case.channels[0], voxels, affine)
    save(case.mask, values, affine)
    assert "spacings of a ratio of 102, expected at most 100" in only_text(VolumeConverter(labels=LABELS), case)


def test_empty_labels_are_refused_unless_they_are_allowed(case):
    save(case.mask, np.zeros((6, 5, 4), np.uint8))
    assert "`allow_empty_masks=True`" in only_text(VolumeConverter(labels=LABELS), case)
    assert VolumeConverter(labels=LABELS, allow_empty_masks=True).check(case).problems == ()


def test_both_files_of_a_case_are_reported(case):
    case.channels[0].write_bytes(b"")
    case.mask.write_bytes(b"no NIfTI")
    problems = VolumeConverter(labels=LABELS).check(case).problems
    assert [problem.file for problem in problems] == [*case.channels, case.mask]


def test_equal_volumes_have_equal_digests(case, voxels, tmp_path):
    converter = VolumeConverter(labels=LABELS)
    copy = replace(case, channels=(save(tmp_path / "copy.nii", voxels.astype(np.int32)),))
    other = replace(case, channels=(save(tmp_path / "other.nii", voxels[::-1]),))
    digests = [converter.check(one).digest for one in (case, copy, other)]
    assert digests[0] == digests[1] != digests[2]


def test_labels_that_miss_whole_numbers_by_a_little_are_taken_and_counted(case, values, tmp_path):
    expected = VolumeConverter(labels=LABELS).read(case)[1]
    missed = values.astype(np.float64)
    missed[values == 7] += 2e-10
    save(case.mask, missed)
    checked = VolumeConverter(labels=LABELS).check(case)
    assert checked.problems == ()
    assert checked.n_rounded == np.count_nonzero(values == 7)
    assert np.array_equal(VolumeConverter(labels=LABELS).read(case)[1], expected)


def test_a_label_that_is_ignored_all_over_is_empty(case):
    converter = VolumeConverter(labels=LabelValues.of({"organ": 1, "ignore": 9}))
    save(case.mask, np.full((6, 5, 4), 9, np.uint8))
    assert "every voxel is 'ignore'" in only_text(converter, case)
    assert replace(converter, allow_empty_masks=True).check(case).problems == ()


def test_nan_in_a_label_is_called_nan(case, values):
    undefined = values.astype(np.float32)
    undefined[0, 0, 0] = np.nan
    save(case.mask, undefined)
    text = only_text(VolumeConverter(labels=LABELS), case)
    assert "nan (1x)" in text
    assert "`labels`" not in text


def test_the_share_of_the_border_is_told_of_one_label_alone(case, values):
    assert VolumeConverter(labels=LABELS).check(case).border is None
    save(case.mask, (values > 0).astype(np.uint8))
    assert VolumeConverter(labels=LabelValues.of({"organ": 1})).check(case).border > 0
