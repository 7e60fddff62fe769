import pickle

import nibabel as nib
import numpy as np
import pytest

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.synapse_organs import OrganNumbers
from nnunet_mamba.data.converters.synapse_volumes import CtConverter, ct_description
from nnunet_mamba.data.formats.nifti_files import compact_voxels, digest_of, read_nifti

NUMBERS = OrganNumbers(("aorta", "liver"), {"liver": 6, "stomach": 7, "aorta": 8})
AFFINE = np.array([[-0.75, 0, 0, 60], [0, 0.75, 0, -90], [0, 0, 3, 500], [0, 0, 0, 1.0]])
ELSEWHERE = np.array([[-0.75, 0, 0, 60], [0, 0.75, 0, -90], [0, 0, 3, -500], [0, 0, 0, 1.0]])
SIZE = (8, 7, 6)


def save(path, voxels, affine=AFFINE):
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    nib.save(image, path)


@pytest.fixture
def ct():
    return np.random.default_rng(0).integers(-1024, 1500, SIZE).astype(np.int16)


@pytest.fixture
def organs():
    return np.random.default_rng(1).choice(np.array([0, 6, 7, 8], np.uint8), SIZE, p=[0.7, 0.15, 0.1, 0.05])


@pytest.fixture
def case(tmp_path, ct, organs):
    save(tmp_path / "img.nii.gz", ct)
    save(tmp_path / "label.nii.gz", organs)
    return Case(identifier="case0001", channels=(tmp_path / "img.nii.gz",), mask=tmp_path / "label.nii.gz")


@pytest.fixture
def converter():
    return CtConverter(NUMBERS)


def written(converter, case, folder):
    volumes = []
    for name, array in zip(("image", "label"), converter.read(case), strict=False):
        converter.write(folder / f"{name}.nii.gz", array)
        volumes.append(read_nifti(folder / f"{name}.nii.gz"))
    return volumes


def problems(converter, case):
    return [(problem.text, problem.file) for problem in converter.check(case).problems]


def test_finds_nothing_wrong_and_records_the_way_back(converter, case, organs):
    checked = converter.check(case)
    assert checked.problems == ()
    assert checked.source == {
        "shape": [6, 7, 8],
        "affine": AFFINE.tolist(),
        "voxels": {"aorta": int((organs == 8).sum()), "liver": int((organs == 6).sum())},
    }
    assert checked.foreground == pytest.approx(np.isin(organs, (6, 8)).mean())


def test_image_keeps_its_values_type_and_affine(converter, case, ct, tmp_path):
    image, label = written(converter, case, tmp_path)
    assert image.voxels.dtype == np.int16
    assert np.array_equal(image.voxels, ct.T)
    assert np.array_equal(image.affine, AFFINE)
    assert np.array_equal(label.affine, AFFINE)


def test_label_has_nnunets_numbers_in_the_same_voxels(converter, case, organs, tmp_path):
    label = written(converter, case, tmp_path)[1].voxels
    assert label.dtype == np.uint8
    assert np.array_equal(label, np.select([organs == 8, organs == 6], [1, 2], 0).T)


@pytest.mark.parametrize(
    "orientation", [[[0, -1], [1, 1], [2, 1]], [[1, 1], [0, -1], [2, -1]], [[2, 1], [1, -1], [0, 1]]]
)
def test_label_of_another_orientation_gives_the_same_files(converter, case, tmp_path, orientation):
    expected = [array.tobytes() for array in converter.read(case)]
    nib.save(nib.load(case.mask).as_reoriented(np.array(orientation)), case.mask)
    assert problems(converter, case) == []
    assert [array.tobytes() for array in converter.read(case)] == expected


def test_float_files_of_whole_numbers_give_the_same_files(converter, case, ct, organs):
    expected = [array.tobytes() for array in converter.read(case)]
    digest = converter.check(case).digest
    save(case.channels[0], ct.astype(np.float64))
    save(case.mask, organs.astype(np.float32))
    assert [array.tobytes() for array in converter.read(case)] == expected
    assert converter.check(case).digest == digest


def test_image_without_label(converter, case):
    alone = Case(identifier="case0001", channels=case.channels, is_training=False)
    assert converter.check(alone).problems == ()
    assert converter.check(alone).foreground is None
    assert len(converter.read(alone)) == 1


def test_survives_the_way_to_a_worker(converter):
    assert pickle.loads(pickle.dumps(converter)) == converter


def test_values_beyond_int16_are_kept():
    assert compact_voxels(np.array([-1024, 40000], np.int32)).tolist() == [-1024, 40000]
    assert compact_voxels(np.array([-1024.0, 0.5])).tolist() == [-1024, 0.5]


def test_digest_tells_pictures_apart():
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    assert digest_of(voxels) == digest_of(np.asfortranarray(voxels))
    assert digest_of(voxels) != digest_of(voxels.reshape(4, 3, 2))
    assert digest_of(voxels) != digest_of(voxels + 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ct: np.clip(ct, -125, 275), "values from -125 to 275, expected Hounsfield units with air below -500"),
        (lambda ct: (ct + 1024).astype(np.uint16), "expected Hounsfield units"),
        (lambda ct: (ct / 2000).astype(np.float32), "expected Hounsfield units"),
        (lambda ct: np.full_like(ct, -1000), "blank: every voxel is -1000"),
        (lambda ct: np.where(ct > 1400, np.nan, ct).astype(np.float32), "voxels are NaN or infinite"),
    ],
)
def test_refuses_images_that_are_no_ct(converter, case, ct, change, message):
    save(case.channels[0], change(ct))
    ((text, file),) = problems(converter, case)
    assert message in text
    assert file == case.channels[0]


@pytest.mark.parametrize(
    ("spacing", "message"),
    [
        ((0.75, 0.75, 30), "spacing 0.75 x 0.75 x 30 mm, expected 0.1 to 20 mm"),
        ((0.05, 0.75, 3), "expected 0.1 to 20 mm"),
        ((0.5, 0.5, 15), "a ratio of 30, expected at most 20"),
    ],
)
def test_refuses_spacings_out_of_range(converter, case, ct, organs, spacing, message):
    save(case.channels[0], ct, np.diag([*spacing, 1]))
    save(case.mask, organs, np.diag([*spacing, 1]))
    ((text, _),) = problems(converter, case)
    assert message in text


@pytest.mark.parametrize(
    ("voxels", "affine", "message"),
    [
        (np.full(SIZE, 5, np.uint8), AFFINE, "label values 5 (336 voxels), expected 0 to 8"),
        (np.full(SIZE, 6.5, np.float32), AFFINE, "336 label values such as 6.5 are no whole numbers"),
        (np.full(SIZE, np.nan, np.float32), AFFINE, "such as nan"),
        (np.zeros(SIZE, np.uint8), AFFINE, "none of the 2 organs"),
        (np.full(SIZE, 7, np.uint8), AFFINE, "none of the 2 organs"),
        (np.full(SIZE, 6, np.uint8), ELSEWHERE, "does not overlap"),
        (np.full((8, 7, 5), 6, np.uint8), AFFINE, "8 x 7 x 5 voxels, its image 8 x 7 x 6"),
        (np.full(SIZE, 6, np.uint8), AFFINE @ np.diag([1, 1, 2, 1]), "spacing 0.75 x 0.75 x 6 mm"),
    ],
)
def test_refuses_labels_that_do_not_fit(converter, case, voxels, affine, message):
    save(case.mask, voxels, affine)
    ((text, file),) = problems(converter, case)
    assert message in text
    assert file == case.mask


def test_lists_the_problems_of_image_and_label_together(converter, case):
    save(case.channels[0], np.zeros(SIZE, np.int16), np.diag([30, 30, 30, 1]))
    save(case.mask, np.full(SIZE, 99, np.uint8), np.diag([30, 30, 30, 1]))
    assert [file.name for _, file in problems(converter, case)] == ["img.nii.gz", "img.nii.gz", "label.nii.gz"]


def test_damaged_files_are_problems(converter, case):
    for path in (case.channels[0], case.mask):
        path.write_bytes(path.read_bytes()[:-20])
    checked = converter.check(case)
    assert [problem.file for problem in checked.problems] == [case.channels[0], case.mask]
    assert checked.source["shape"] == []
    assert checked.digest is None


@pytest.mark.parametrize("missing", ["image", "label"])
def test_a_missing_half_of_a_pair_is_named_with_the_other(converter, case, missing):
    absent, present = (case.channels[0], case.mask) if missing == "image" else (case.mask, case.channels[0])
    absent.unlink()
    ((text, file),) = problems(converter, case)
    other = "label" if missing == "image" else "image"
    assert text == f"no {missing} for this {other}, expected {absent.name}; add it or remove the {other}"
    assert file == present


def test_a_file_that_changed_after_the_check_is_named(converter, case):
    case.mask.write_bytes(b"")
    with pytest.raises(ValueError, match=r"case0001: the file is empty .*label.nii.gz"):
        converter.read(case)


def test_description_names_the_channel_ct():
    content = ct_description(NUMBERS).dataset_json(3)
    assert content["channel_names"] == {"0": "CT"}
    assert content["labels"] == NUMBERS.labels == {"background": 0, "aorta": 1, "liver": 2}
    assert content["file_ending"] == ".nii.gz"
    assert "regions_class_order" not in content


def test_nnunet_takes_every_organ_for_a_region_of_its_own():
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    content = ct_description(NUMBERS, sigmoid=True).dataset_json(3)
    assert content["labels"] == {"background": 0, "aorta": [1, 1], "liver": [2, 2]}
    manager = LabelManager(content["labels"], content["regions_class_order"])
    assert manager.has_regions
    assert manager.num_segmentation_heads == 2
    probabilities = np.array([[0.9, 0.1, 0.2], [0.2, 0.8, 0.3]])[:, None, None]
    assert manager.convert_probabilities_to_segmentation(probabilities).tolist() == [[[1, 2, 0]]]
