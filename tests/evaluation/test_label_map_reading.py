import json

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image

from nnunet_mamba.data.formats.dataset_json import read_dataset_json
from nnunet_mamba.evaluation.label_map_reading import label_map_reader, spacing_of
from nnunet_mamba.evaluation.label_pictures import NoLabelMapError

VOLUME = (np.arange(60).reshape(3, 4, 5) % 3).astype(np.uint8)  # (z, y, x)
AFFINE = np.diag([0.5, 0.5, 3, 1])


@pytest.fixture
def read(tmp_path):
    def read(path, **more):
        ending = ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix
        content = {"labels": {"background": 0, "a": 1, "b": 2}, "file_ending": ending, **more}
        (tmp_path / "dataset.json").write_text(json.dumps(content))
        return label_map_reader(read_dataset_json(tmp_path / "dataset.json"), path).read_seg(str(path))

    return read


def save_nifti(path, voxels):
    """Save (z, y, x, ...)."""
    nibabel.save(nibabel.Nifti1Image(voxels.transpose(2, 1, 0, *range(3, voxels.ndim)), AFFINE), path)
    return path


def save_colours(path, channels):
    """Save (*spatial, c) with several numbers in each voxel."""
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(channels, isVector=True), str(path))
    return path


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_volumes_that_are_all_equal_are_one_in_the_same_place(tmp_path, read, ending):
    expected, place = read(save_nifti(tmp_path / f"a{ending}", VOLUME))
    np.testing.assert_array_equal(expected, VOLUME[None])
    for n_volumes in (1, 3):
        four = save_nifti(tmp_path / f"b{ending}", np.stack([VOLUME] * n_volumes, -1))
        voxels, its_place = read(four)
        np.testing.assert_array_equal(voxels, VOLUME[None])
        assert list(its_place["spacing"]) == list(place["spacing"])


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_volumes_that_differ_are_refused(tmp_path, read, ending):
    path = save_nifti(tmp_path / f"a{ending}", np.stack([VOLUME, VOLUME * 0], -1))
    with pytest.raises(NoLabelMapError, match="has 2 volumes that differ"):
        read(path)


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("label", [VOLUME, VOLUME[0]], ids=["3d", "2d"])
def test_colours_in_a_voxel_are_no_axis_of_space(tmp_path, read, ending, label):
    voxels, _ = read(save_colours(tmp_path / f"a{ending}", np.stack([label] * 3, -1)))
    np.testing.assert_array_equal(voxels.reshape(label.shape), label)
    path = save_colours(tmp_path / f"b{ending}", np.stack([label, label * 0, label], -1))
    with pytest.raises(NoLabelMapError, match="has colours that differ"):
        read(path)


def test_colours_that_nibabel_reads_are_one_number_or_refused(tmp_path, read):
    colours = np.zeros(VOLUME.T.shape, [(name, np.uint8) for name in "RGB"])
    for name in "RGB":
        colours[name] = VOLUME.T
    nibabel.save(nibabel.Nifti1Image(colours, AFFINE), tmp_path / "a.nii")
    np.testing.assert_array_equal(read(tmp_path / "a.nii")[0], VOLUME[None])
    colours["G"] = 0
    nibabel.save(nibabel.Nifti1Image(colours, AFFINE), tmp_path / "a.nii")
    with pytest.raises(NoLabelMapError, match="has colours that differ"):
        read(tmp_path / "a.nii")


def test_nan_is_not_taken_for_the_background(tmp_path, read):
    path = save_nifti(tmp_path / "a.nii.gz", np.where(VOLUME == 1, np.nan, VOLUME).astype(np.float32))
    with pytest.raises(NoLabelMapError, match=f"holds NaN or infinity in {(VOLUME == 1).sum()} voxels"):
        read(path)


def test_tiff_is_read_as_pictures_or_stacks_as_the_example_is(tmp_path, read):
    tifffile.imwrite(tmp_path / "flat.tif", VOLUME[0])
    tifffile.imwrite(tmp_path / "stack.tif", VOLUME, photometric="minisblack")
    assert read(tmp_path / "flat.tif")[0].shape == (1, 1, 4, 5)
    np.testing.assert_array_equal(read(tmp_path / "stack.tif")[0], VOLUME[None])
    tifffile.imwrite(tmp_path / "colours.tif", np.stack([VOLUME] * 3, -1), photometric="rgb")
    np.testing.assert_array_equal(read(tmp_path / "colours.tif")[0], VOLUME[None])


def test_a_single_picture_is_no_stack(tmp_path, read):
    tifffile.imwrite(tmp_path / "a.tiff", VOLUME[0])
    with pytest.raises(NoLabelMapError, match="is a single picture, expected a stack"):
        read(tmp_path / "a.tiff")
    tifffile.imwrite(tmp_path / "a.tiff", np.stack([VOLUME[0]] * 3, -1), photometric="rgb")
    with pytest.raises(NoLabelMapError, match="is a single picture, expected a stack"):
        read(tmp_path / "a.tiff")


def test_nothing_is_printed_about_files_that_nnunet_refuses(tmp_path, read, capfd):
    tifffile.imwrite(tmp_path / "stack.tif", VOLUME, photometric="minisblack")
    read(tmp_path / "stack.tif")
    Image.fromarray(VOLUME[0]).convert("LA").save(tmp_path / "a.png")
    read(tmp_path / "a.png")
    assert capfd.readouterr() == ("", "")


def test_endings_and_readers_that_nnunet_does_not_know_are_told(tmp_path, read):
    Image.fromarray(VOLUME[0]).save(tmp_path / "a.jpg")
    with pytest.raises(
        ValueError, match=r"reads no \.jpg files, the file_ending in dataset\.json; expected one of \.bmp"
    ):
        read(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r'"overwrite_image_reader_writer" in dataset\.json is no text'):
        read(save_nifti(tmp_path / "a.nii.gz", VOLUME), overwrite_image_reader_writer=3)


def test_spacing_is_what_the_file_tells_in_the_order_of_axes(tmp_path, read):
    _, place = read(save_nifti(tmp_path / "a.nii.gz", VOLUME))
    assert spacing_of(place) == pytest.approx((3, 0.5, 0.5))
    Image.fromarray(VOLUME[0]).save(tmp_path / "a.png")
    assert spacing_of(read(tmp_path / "a.png")[1]) is None


def test_a_stack_without_the_file_of_its_spacing_tells_none(tmp_path, read):
    stack = np.concatenate([VOLUME, VOLUME[:1]])
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    assert spacing_of(read(tmp_path / "a.tif")[1]) is None
    (tmp_path / "a.json").write_text(json.dumps({"spacing": [3, 1, 1]}))
    assert spacing_of(read(tmp_path / "a.tif")[1]) == (3, 1, 1)
