import re
import shutil

import numpy as np
import pytest
import SimpleITK

from nnunet_mamba.data.formats import declared_sizes
from nnunet_mamba.data.formats.nifti_files import VolumeError, read_nifti
from nnunet_mamba.data.formats.volume_files import read_volume, spacing_of

ENDINGS = ("mha", "mhd", "nrrd", "nhdr", "hdr")


@pytest.fixture
def image():
    angle = np.deg2rad(15)
    image = SimpleITK.GetImageFromArray(np.random.default_rng(0).integers(-900, 900, (7, 6, 5)).astype(np.int16))
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-100, 20, 300))
    image.SetDirection([np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, -1])
    return image


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
def test_voxels_and_place_are_those_of_the_same_volume_as_nifti(tmp_path, image, ending, is_packed):
    SimpleITK.WriteImage(image, str(tmp_path / "a.nii.gz"))
    expected = read_nifti(tmp_path / "a.nii.gz")
    SimpleITK.WriteImage(image, str(tmp_path / f"b.{ending}"), is_packed)
    found = read_volume(tmp_path / f"b.{ending}")
    assert np.array_equal(found.voxels, expected.voxels)
    assert np.allclose(found.affine, expected.affine, atol=1e-4)


@pytest.mark.parametrize("ending", ["mha", "nrrd"])
def test_capitals_in_the_ending_are_no_obstacle(tmp_path, image, ending):
    SimpleITK.WriteImage(image, str(tmp_path / f"a.{ending}"))
    shutil.move(tmp_path / f"a.{ending}", tmp_path / f"b.{ending.upper()}")
    assert read_volume(tmp_path / f"b.{ending.upper()}").voxels.shape == (7, 6, 5)


@pytest.mark.parametrize("ending", [*ENDINGS, "nii", "nii.gz"])
def test_the_spacing_is_that_of_the_header_with_all_its_digits(tmp_path, image, ending):
    image.SetSpacing((1 / 3, 0.1, np.pi))
    SimpleITK.WriteImage(image, str(tmp_path / f"a.{ending}"))
    assert spacing_of(tmp_path / f"a.{ending}") == SimpleITK.ReadImage(str(tmp_path / f"a.{ending}")).GetSpacing()[::-1]
    with pytest.raises(VolumeError, match="cannot read it"):
        spacing_of(tmp_path / f"b.{ending}")


def test_nifti_is_read_as_before(tmp_path, image):
    SimpleITK.WriteImage(image, str(tmp_path / "a.nii.gz"))
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz").voxels, SimpleITK.GetArrayFromImage(image))


def changed(path, pattern, replacement):
    path.write_bytes(re.sub(pattern, replacement, path.read_bytes(), count=1))
    return path


@pytest.mark.parametrize(
    ("ending", "pattern", "replacement", "message"),
    [
        ("mha", rb"DimSize = 5 6 7", b"DimSize = 30000 30000 30000", "50,291 GiB, which .* cannot become"),
        ("nrrd", rb"sizes: 5 6 7", b"sizes: 30000 30000 30000", "50,291 GiB, which .* cannot become"),
        ("mha", rb"ElementSpacing = \S+", b"ElementSpacing = 0", "cannot read it"),
        ("mha", rb"ElementSpacing = \S+", b"ElementSpacing = nan", "cannot read it"),
        ("mhd", rb"a\.raw", b"/etc/passwd", "its voxels are in /etc/passwd, expected them beside the header"),
        ("mhd", rb"a\.raw", b"../../a.raw", "expected them beside the header"),
        ("nhdr", rb"a\.raw", b"/etc/passwd", "expected them beside the header"),
        ("mhd", rb"a\.raw", b"gone.raw", "cannot read it"),
    ],
)
def test_headers_that_lie_are_told(tmp_path, image, ending, pattern, replacement, message):
    SimpleITK.WriteImage(image, str(tmp_path / f"a.{ending}"))
    path = changed(tmp_path / f"a.{ending}", pattern, replacement)
    with pytest.raises(VolumeError, match=message):
        read_volume(path)


def test_voxels_may_be_in_a_file_of_any_name(tmp_path):
    constant = SimpleITK.Image([60, 60, 60], SimpleITK.sitkInt16)
    SimpleITK.WriteImage(constant, str(tmp_path / "a.mhd"), True)
    shutil.move(tmp_path / "a.mhd", tmp_path / "b.mhd")
    assert read_volume(tmp_path / "b.mhd").voxels.shape == (60, 60, 60)


def test_a_header_of_voxels_elsewhere_claims_no_more_than_the_memory(tmp_path, image):
    SimpleITK.WriteImage(image, str(tmp_path / "a.mhd"))
    path = changed(tmp_path / "a.mhd", rb"DimSize = 5 6 7", b"DimSize = 30000 30000 30000")
    with pytest.raises(VolumeError, match="GiB of memory"):
        read_volume(path)


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "0 bytes"), (b"hello", "cannot read it"), (None, "No such file")]
)
@pytest.mark.parametrize("ending", ["mha", "nrrd"])
def test_other_files_are_refused(tmp_path, ending, content, message):
    if content is not None:
        (tmp_path / f"a.{ending}").write_bytes(content)
    with pytest.raises(VolumeError, match=message):
        read_volume(tmp_path / f"a.{ending}")


def test_a_cut_file_is_refused(tmp_path, image):
    SimpleITK.WriteImage(image, str(tmp_path / "a.mha"))
    (tmp_path / "a.mha").write_bytes((tmp_path / "a.mha").read_bytes()[:-50])
    with pytest.raises(VolumeError):
        read_volume(tmp_path / "a.mha")


def test_what_is_no_volume_of_numbers_is_refused(tmp_path):
    for shape, is_vector in (((4, 5), False), ((2, 3, 4, 5), False), ((3, 4, 5, 2), True)):
        SimpleITK.WriteImage(
            SimpleITK.GetImageFromArray(np.ones(shape, np.float32), isVector=is_vector), str(tmp_path / "a.nrrd")
        )
        with pytest.raises(VolumeError, match="expected one volume of three dimensions with one number each"):
            read_volume(tmp_path / "a.nrrd")


def test_analyze_headers_tell_no_place(tmp_path, image):
    SimpleITK.WriteImage(image, str(tmp_path / "a.hdr"))
    content = bytearray((tmp_path / "a.hdr").read_bytes())
    content[344:348] = bytes(4)
    (tmp_path / "a.hdr").write_bytes(content)
    with pytest.raises(VolumeError, match="an Analyze header, which tells no place"):
        read_volume(tmp_path / "a.hdr")


def test_more_than_the_memory_is_refused_by_its_header(tmp_path, monkeypatch):
    SimpleITK.WriteImage(SimpleITK.Image([300, 300, 300], SimpleITK.sitkUInt8), str(tmp_path / "a.mha"), True)
    monkeypatch.setattr(declared_sizes, "free_memory", lambda: 50 * 2**20)
    with pytest.raises(VolumeError, match="which need 77 MiB of memory, and 50 MiB are free"):
        read_volume(tmp_path / "a.mha")
