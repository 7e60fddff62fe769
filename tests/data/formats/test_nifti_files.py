import gzip
import itertools
from contextlib import nullcontext

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from nnunet_mamba.data.formats.nifti_files import (
    Volume,
    VolumeError,
    encode_nifti,
    read_nifti,
    spacing_in_file,
    turned_onto,
    write_compressed,
)

SIZE = (5, 6, 7)  # (x, y, z)
AFFINE = np.array([[-0.75, 0, 0, 100.5], [0, -0.75, 0, 90.25], [0, 0, 3, -700], [0, 0, 0, 1.0]])
ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


def save(path, voxels=None, affine=AFFINE, *, sform=1, qform=1):
    """Save (x, y, z) voxels."""
    voxels = np.arange(np.prod(SIZE), dtype=np.int16).reshape(SIZE) if voxels is None else voxels
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine, sform)
    image.set_qform(affine, qform)
    nib.save(image, path)
    return path


def turned(volume, axes, signs):
    """The same voxels in the same places, stored in another order."""
    orientation = np.array([[axis, sign] for axis, sign in zip(axes, signs, strict=True)])
    image = nib.Nifti1Image(volume.voxels.T, volume.affine).as_reoriented(orientation)
    return Volume(np.asanyarray(image.dataobj).T, image.affine)


@pytest.fixture
def grid():
    voxels = np.random.default_rng(0).integers(0, 14, SIZE[::-1]).astype(np.uint8)
    return Volume(voxels, AFFINE)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_reads_values_type_and_affine_as_they_are(tmp_path, ending, dtype):
    voxels = np.random.default_rng(1).integers(0, 200, SIZE).astype(dtype)
    volume = read_nifti(save(tmp_path / f"a{ending}", voxels))
    assert volume.voxels.dtype == dtype
    assert np.array_equal(volume.voxels, voxels.T)
    assert np.array_equal(volume.affine, AFFINE)
    assert volume.size.tolist() == list(SIZE)
    assert volume.spacing.tolist() == [0.75, 0.75, 3]


def test_refuses_nifti_2_which_simpleitk_cannot_read(tmp_path):
    nib.save(nib.Nifti2Image(np.ones(SIZE, np.int16), AFFINE), tmp_path / "a.nii.gz")
    with pytest.raises(VolumeError, match="save it as NIfTI-1"):
        read_nifti(tmp_path / "a.nii.gz")


def test_applies_the_slope_of_the_header(tmp_path):
    image = nib.Nifti1Image(np.ones(SIZE, np.int16), AFFINE)
    image.header.set_slope_inter(2, -1024)
    content = bytearray(image.to_bytes())
    content[112:120] = np.array([2, -1024], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    assert np.unique(read_nifti(tmp_path / "a.nii").voxels).tolist() == [-1022]


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_every_order_of_the_axes_is_turned_back_exactly(grid, axes, signs):
    other = turned(grid, axes, signs)
    assert np.array_equal(turned_onto(other, grid), grid.voxels)


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS[::7])
def test_turning_agrees_with_nearest_neighbour_resampling_in_simpleitk(tmp_path, grid, axes, signs):
    rng = np.random.default_rng(2)
    label = turned(Volume(rng.integers(0, 14, SIZE[::-1]).astype(np.uint8), AFFINE), axes, signs)
    for name, volume in (("grid", grid), ("label", label)):
        write_compressed(tmp_path / f"{name}.nii.gz", encode_nifti(volume))
    reference = SimpleITK.ReadImage(str(tmp_path / "grid.nii.gz"))
    resampled = SimpleITK.Resample(
        SimpleITK.ReadImage(str(tmp_path / "label.nii.gz")),
        reference,
        SimpleITK.Transform(),
        SimpleITK.sitkNearestNeighbor,
        255,
    )
    assert np.array_equal(SimpleITK.GetArrayFromImage(resampled), turned_onto(label, grid))


def test_oblique_grids_agree_too(grid):
    angle = np.deg2rad(20)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = Volume(grid.voxels, rotation @ AFFINE)
    assert np.array_equal(turned_onto(turned(oblique, (1, 0, 2), (-1, 1, -1)), oblique), grid.voxels)


def test_rounding_in_a_header_is_no_difference(grid):
    rounded = AFFINE.copy()
    rounded[:3, :3] += 1e-5
    rounded[:3, 3] += 1e-3
    assert np.array_equal(turned_onto(Volume(grid.voxels, rounded), grid), grid.voxels)


def moved(x=0.0, y=0.0, z=0.0):
    affine = AFFINE.copy()
    affine[:3, 3] += x, y, z
    return affine


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (moved(z=500), "does not overlap"),
        (moved(z=-22), "does not overlap"),
        (moved(x=0.375), "lies up to 0.5 voxels beside"),
        (moved(z=3), "lies up to 1 voxels beside"),
        (AFFINE @ np.diag([1, 1, 1.5, 1]), r"spacing 0.75 x 0.75 x 4.5 mm, its image 0.75 x 0.75 x 3 mm"),
        (AFFINE @ np.array([[1, 0.3, 0, 0], [-0.3, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "spacing"),
    ],
)
def test_refuses_other_places(grid, affine, message):
    with pytest.raises(VolumeError, match=message):
        turned_onto(Volume(grid.voxels, affine), grid)


def test_refuses_another_size(grid):
    with pytest.raises(VolumeError, match=r"5 x 6 x 6 voxels, its image 5 x 6 x 7"):
        turned_onto(Volume(grid.voxels[:-1], AFFINE), grid)


def test_refuses_a_rotated_grid(grid):
    angle = np.deg2rad(10)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    with pytest.raises(VolumeError, match="beside its image or is rotated"):
        turned_onto(Volume(grid.voxels, AFFINE @ rotation), grid)


def test_written_files_are_read_the_same_by_both_libraries(tmp_path, grid):
    write_compressed(tmp_path / "a.nii.gz", encode_nifti(grid))
    volume = read_nifti(tmp_path / "a.nii.gz")
    assert np.array_equal(volume.voxels, grid.voxels)
    assert volume.voxels.dtype == np.uint8
    assert np.array_equal(volume.affine, AFFINE)
    image = SimpleITK.ReadImage(str(tmp_path / "a.nii.gz"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), grid.voxels)
    assert image.GetSpacing() == (0.75, 0.75, 3)
    assert image.GetOrigin() == (-100.5, -90.25, -700)


def test_the_spacing_in_a_file_is_what_simpleitk_reads_bit_for_bit(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(20):
        axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        affine = np.eye(4)
        affine[:3, :3] = (axes if number % 2 else np.eye(3)) * rng.uniform(0.1, 6, 3)
        write_compressed(tmp_path / "a.nii.gz", encode_nifti(Volume(np.zeros(SIZE[::-1], np.int16), affine)))
        read = SimpleITK.ReadImage(str(tmp_path / "a.nii.gz"))
        assert spacing_in_file(affine) == read.GetSpacing()[::-1]


def test_equal_volumes_give_equal_files(tmp_path, grid):
    for name in ("a", "another_name"):
        write_compressed(tmp_path / f"{name}.nii.gz", encode_nifti(grid))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "another_name.nii.gz").read_bytes()


def test_sform_counts_before_qform_as_for_nnunet(tmp_path):
    image = nib.Nifti1Image(np.ones(SIZE, np.int16), AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE @ np.diag([-1, -1, 1, 1]), 1)
    nib.save(image, tmp_path / "a.nii.gz")
    assert np.array_equal(read_nifti(tmp_path / "a.nii.gz").affine, AFFINE)
    seen_by_nnunet = SimpleITK.ReadImage(str(tmp_path / "a.nii.gz"))
    assert np.allclose(seen_by_nnunet.GetOrigin(), (-100.5, -90.25, -700))
    assert np.allclose(seen_by_nnunet.GetDirection(), np.eye(3).ravel())


def test_reads_files_that_have_the_qform_alone(tmp_path):
    assert np.allclose(read_nifti(save(tmp_path / "a.nii.gz", sform=0)).affine, AFFINE)


def test_refuses_a_volume_without_a_place(tmp_path):
    with pytest.raises(VolumeError, match="neither sform nor qform"):
        read_nifti(save(tmp_path / "a.nii.gz", sform=0, qform=0))


def test_refuses_two_places_that_differ(tmp_path):
    image = nib.Nifti1Image(np.ones(SIZE, np.int16), AFFINE)
    moved = AFFINE.copy()
    moved[0, 3] += 50
    image.set_sform(moved, 2)
    image.set_qform(AFFINE, 1)
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(VolumeError, match="two that differ"):
        read_nifti(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("axis", range(3), ids="xyz")
@pytest.mark.parametrize(("difference", "is_refused"), [(0.07, False), (0.08, True)])
def test_two_places_may_differ_by_a_tenth_of_the_shortest_side_of_a_voxel(tmp_path, axis, difference, is_refused):
    image = nib.Nifti1Image(np.ones(SIZE, np.int16), AFFINE)
    image.set_sform(moved(**{"xyz"[axis]: difference}), 2)
    image.set_qform(AFFINE, 1)
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(VolumeError, match="two that differ") if is_refused else nullcontext():
        read_nifti(tmp_path / "a.nii.gz")


def test_refuses_metres(tmp_path):
    image = nib.Nifti1Image(np.ones(SIZE, np.int16), np.diag([0.001, 0.001, 0.003, 1]))
    image.set_sform(image.affine, 1)
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(VolumeError, match="units other than mm"):
        read_nifti(tmp_path / "a.nii.gz")


def test_refuses_sheared_axes(tmp_path):
    sheared = AFFINE.copy()
    sheared[0, 2] = 1.5
    image = nib.Nifti1Image(np.ones(SIZE, np.int16), sheared)
    image.set_sform(sheared, 1)
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(VolumeError, match="SimpleITK"):
        read_nifti(tmp_path / "a.nii.gz")


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (np.ones((4, 5, 6, 2), np.int16), "4x5x6x2, expected one volume"),
        (np.ones((4, 5), np.int16), "4x5, expected one volume"),
        (np.ones(SIZE, np.complex64), "type complex64"),
        (np.ones(SIZE, [("R", "u1"), ("G", "u1"), ("B", "u1")]), "type"),
    ],
)
def test_refuses_what_is_no_volume_of_numbers(tmp_path, voxels, message):
    with pytest.raises(VolumeError, match=message):
        read_nifti(save(tmp_path / "a.nii.gz", voxels))


def test_refuses_an_empty_file(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"")
    with pytest.raises(VolumeError, match="0 bytes"):
        read_nifti(tmp_path / "a.nii.gz")


def test_refuses_a_missing_file(tmp_path):
    with pytest.raises(VolumeError, match="No such file"):
        read_nifti(tmp_path / "a.nii.gz")


def test_a_damaged_archive_is_refused_or_reads_as_before(tmp_path):
    content = save(tmp_path / "a.nii.gz").read_bytes()
    before = read_nifti(tmp_path / "a.nii.gz")
    rng = np.random.default_rng(3)
    damaged = [content[: int(length)] for length in rng.integers(1, len(content), 20)]
    for position in rng.integers(0, len(content), 60):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    n_refused = 0
    for one in damaged:
        (tmp_path / "damaged.nii.gz").write_bytes(one)
        try:
            volume = read_nifti(tmp_path / "damaged.nii.gz")
        except VolumeError:
            n_refused += 1
        else:
            # Only the archive's own name and time are outside its checksum.
            assert np.array_equal(volume.voxels, before.voxels)
            assert np.array_equal(volume.affine, before.affine)
    assert n_refused >= 70


def test_a_damaged_header_raises_nothing_else(tmp_path):
    content = gzip.decompress(save(tmp_path / "a.nii.gz").read_bytes())
    rng = np.random.default_rng(4)
    messages = []
    for position in [*range(0, 4), *range(40, 56), *range(70, 74), *range(108, 120), *rng.integers(0, 352, 40)]:
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(rng.integers(8))
        (tmp_path / "damaged.nii").write_bytes(flipped)
        try:
            read_nifti(tmp_path / "damaged.nii")
        except VolumeError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert not [message for message in messages if "\n" in message]


@pytest.mark.parametrize("affine", [np.eye(4), moved(z=500), moved(x=0.375), AFFINE @ np.diag([1, 1, 1.5, 1])])
def test_a_volume_of_the_same_size_elsewhere_gets_the_header_and_is_not_resampled(grid, affine):
    with pytest.raises(VolumeError) as caught:
        turned_onto(Volume(grid.voxels, affine), grid)
    assert "copy the header of the image to it" in str(caught.value)
    assert "resample" not in str(caught.value)


def test_a_volume_of_another_size_and_spacing_is_resampled(grid):
    with pytest.raises(VolumeError, match="resample it onto the image"):
        turned_onto(Volume(grid.voxels[:-2], AFFINE @ np.diag([1, 1, 1.5, 1])), grid)


def test_the_advice_to_copy_the_header_works(tmp_path, grid):
    from nibabel import Nifti1Image, load
    from nibabel import save as save_nifti

    save(tmp_path / "image.nii.gz")
    save(tmp_path / "mask.nii.gz", grid.voxels.T, np.eye(4))
    new = Nifti1Image(load(tmp_path / "mask.nii.gz").dataobj, load(tmp_path / "image.nii.gz").affine)
    save_nifti(new, tmp_path / "new.nii.gz")
    image, mask = read_nifti(tmp_path / "image.nii.gz"), read_nifti(tmp_path / "new.nii.gz")
    assert np.array_equal(turned_onto(mask, image), grid.voxels)
