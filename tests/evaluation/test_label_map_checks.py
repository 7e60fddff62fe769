import nibabel
import numpy as np
import pytest
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO, NibabelIOWithReorient
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from PIL import Image

from nnunet_mamba.evaluation.label_map_checks import read_pair, refuse_problems

AFFINE = np.diag([0.5, 0.5, 3, 1])
LABEL = np.arange(60).reshape(3, 4, 5) % 3


@pytest.fixture
def save(tmp_path):
    for folder in ("predictions", "labels"):
        (tmp_path / folder).mkdir()

    def save(folder, voxels, affine=AFFINE):
        nibabel.save(nibabel.Nifti1Image(voxels.astype(np.uint8), affine), tmp_path / folder / "a.nii.gz")

    save("labels", LABEL)
    return save


@pytest.fixture
def check(tmp_path):
    def check(reader=SimpleITKIO, values=(0, 1, 2), name="a.nii.gz"):
        pair, problems = read_pair(tmp_path / "predictions" / name, tmp_path / "labels" / name, reader(), values)
        assert (pair is None) == bool(problems)
        refuse_problems([(name, problem) for problem in problems])

    return check


@pytest.mark.parametrize("reader", [SimpleITKIO, NibabelIO, NibabelIOWithReorient])
def test_label_maps_of_one_place_pass_and_others_do_not(save, check, reader):
    save("predictions", LABEL)
    check(reader)
    # Other programs round.
    nearly = AFFINE * np.array([[1 + 1e-4]] * 3 + [[1]])
    nearly[:3, 3] = 1e-4
    save("predictions", LABEL, nearly)
    check(reader)
    moved = AFFINE.copy()
    moved[0, 3] = 1
    save("predictions", LABEL, moved)
    with pytest.raises(ValueError, match=r"a\.nii\.gz: the prediction lies up to 2 voxels away from its label"):
        check(reader)


@pytest.mark.parametrize("reader", [SimpleITKIO, NibabelIO])
def test_voxels_in_another_order_are_refused(save, check, reader):
    flipped = AFFINE @ np.array([[-1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    save("predictions", LABEL[::-1], flipped)
    with pytest.raises(ValueError, match="away from its label, or is turned"):
        check(reader)
    # A reader that turns them back has no such difference.
    check(NibabelIOWithReorient)


def test_values_that_the_data_set_does_not_know_are_told_of_either_side(save, check):
    save("predictions", (LABEL > 0) * 255)
    with pytest.raises(
        ValueError, match=r"the prediction has the values 255, and dataset.json knows 0, 1, 2; .*--check"
    ):
        check()
    with pytest.raises(ValueError, match=r"problems: 1\n  a\.nii\.gz: the label has the values 1, 2, and"):
        check(values=(0, 255))


def test_undefined_values_are_no_values_of_the_source(save, check, tmp_path):
    for folder in ("predictions", "labels"):
        undefined = np.full((4, 5, 6), np.nan, np.float32)
        nibabel.save(nibabel.Nifti1Image(undefined, AFFINE), tmp_path / folder / "a.nii.gz")
    with pytest.raises(ValueError, match="NaN and infinity are no labels") as refusal:
        check(reader=NibabelIO)
    assert "restore" not in str(refusal.value)


def test_other_shapes_and_damaged_files_are_told(save, check, tmp_path):
    save("predictions", LABEL[1:])
    with pytest.raises(ValueError, match=r"prediction is \(5, 4, 2\), label is \(5, 4, 3\)"):
        check()
    path = tmp_path / "predictions" / "a.nii.gz"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match=rf"a\.nii\.gz: the prediction cannot be read .*write {path} again"):
        check()


def test_pictures_have_no_place(check, tmp_path):
    for folder in ("predictions", "labels"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / folder / "a.png")
    check(NaturalImage2DIO, name="a.png")
    path = tmp_path / "predictions" / "a.png"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"a\.png: the prediction cannot be read"):
        check(NaturalImage2DIO, name="a.png")
