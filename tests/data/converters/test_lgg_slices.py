import numpy as np
import pytest
import SimpleITK
from PIL import Image

from nnunet_mamba.data.cases import Case
from nnunet_mamba.data.converters.lgg_slices import (
    SliceConverter,
    StackConverter,
    load_slice,
    load_slice_mask,
    mask_of,
    same_as_flair,
)
from nnunet_mamba.data.formats.image_files import ImageFileError


def stack_of(folder, voxels, label):
    """Write (z, y, x, 3) and (z, y, x) as the slices and masks of a case."""
    folder.mkdir(exist_ok=True)
    files = [folder / f"scan_{number}.tif" for number in range(1, len(voxels) + 1)]
    for file, pixels, mask in zip(files, voxels, label, strict=True):
        Image.fromarray(pixels).save(file)
        Image.fromarray(mask * 255).save(mask_of(file))
    return Case(identifier="scan", channels=tuple(files), mask=mask_of(files[0]))


@pytest.fixture
def voxels():
    return np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)


@pytest.fixture
def label():
    label = np.zeros((5, 6, 7), np.uint8)
    label[1:3, 2:4, 1:6] = 1
    return label


def test_volume_keeps_every_voxel_and_lies_as_radiologists_look_at_it(tmp_path, voxels, label):
    case = stack_of(tmp_path / "source", voxels, label)
    converter = StackConverter((5.0, 0.5, 0.75))
    found = converter.check(case)
    assert found.problems == ()
    slices = [f"scan_{number}.tif" for number in range(1, 6)]
    assert found.source == {"shape": [5, 6, 7], "same_as_flair": [], "slices": slices}
    assert found.foreground == pytest.approx(label.mean())
    expected = [*np.moveaxis(voxels, -1, 0), label]
    for index, array in enumerate(converter.read(case)):
        converter.write(tmp_path / f"{index}.nii.gz", array)
        image = SimpleITK.ReadImage(str(tmp_path / f"{index}.nii.gz"))
        assert image.GetPixelID() == SimpleITK.sitkUInt8
        assert np.array_equal(SimpleITK.GetArrayFromImage(image), expected[index])
        # ITK's axes: to the left, to the back, upwards.
        assert image.GetSpacing() == (0.75, 0.5, 5.0)
        assert image.GetOrigin() == (0.0, 0.0, 0.0)
        assert image.GetDirection() == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    assert index == 3


def test_equal_volumes_give_equal_files(tmp_path, label):
    for name in ("a.nii.gz", "b.nii.gz"):
        StackConverter((5.0, 1.0, 1.0)).write(tmp_path / name, label)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


@pytest.mark.parametrize(
    ("spacing", "text"),
    [
        ((0.0, 1.0, 1.0), "spacing 0.0 mm along z: expected more than 0"),
        ((5.0, -1.0, 1.0), "spacing -1.0 mm along y"),
        ((5.0, 1.0, float("nan")), "spacing nan mm along x"),
        ((500.0, 1.0, 1.0), "100 mm at most"),
    ],
)
def test_refuses_a_spacing_that_is_no_length(spacing, text):
    with pytest.raises(ValueError, match=text):
        StackConverter(spacing)


def test_knows_copies_of_flair(voxels):
    assert same_as_flair(voxels) == []
    voxels[..., 2] = voxels[..., 1]
    assert same_as_flair(voxels) == ["post-contrast"]
    voxels[..., 0] = voxels[..., 1]
    assert same_as_flair(voxels) == ["pre-contrast", "post-contrast"]
    voxels[4, 5, 6, 0] ^= 1
    assert same_as_flair(voxels) == ["post-contrast"]


def test_digest_tells_pictures_apart(tmp_path, voxels, label):
    converter = StackConverter((5.0, 1.0, 1.0))
    first = converter.check(stack_of(tmp_path / "a", voxels, label)).digest
    assert converter.check(stack_of(tmp_path / "b", voxels, label[:, ::-1])).digest == first
    voxels[4, 5, 6, 2] ^= 1
    assert converter.check(stack_of(tmp_path / "c", voxels, label)).digest != first


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "1"])
def test_refuses_a_slice_without_three_channels(tmp_path, voxels, mode):
    Image.fromarray(voxels[0]).convert(mode).save(tmp_path / "x.tif")
    with pytest.raises(ImageFileError, match=f"colour mode {mode}, expected 8-bit RGB"):
        load_slice(tmp_path / "x.tif")


def test_refuses_a_turned_slice(tmp_path, voxels):
    Image.fromarray(voxels[0]).save(tmp_path / "x.tif", tiffinfo={274: 6})
    with pytest.raises(ImageFileError, match="orientation 6; save the slice upright"):
        load_slice(tmp_path / "x.tif")


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.9])
def test_refuses_a_truncated_slice(tmp_path, voxels, kept):
    Image.fromarray(voxels[0]).save(tmp_path / "x.tif")
    content = (tmp_path / "x.tif").read_bytes()
    (tmp_path / "x.tif").write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ImageFileError):
        load_slice(tmp_path / "x.tif")


@pytest.mark.parametrize("mode", ["L", "1"])
def test_mask_is_one_where_it_is_white(tmp_path, label, mode):
    Image.fromarray(label[1] * 255).convert(mode).save(tmp_path / "x.tif")
    mask = load_slice_mask(tmp_path / "x.tif")
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, label[1])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0, 255, 254], "values 254 in the mask, expected 0 and 255 only"),
        ([0, 1], "values 1 in the mask"),
        (list(range(1, 9)), "values 1, 2, 3, 4, 5, ... in the mask"),
        ([255, 255], "white all over, expected a tumour on black"),
    ],
)
def test_refuses_a_mask_of_other_values(tmp_path, values, text):
    Image.fromarray(np.array([values], np.uint8)).save(tmp_path / "x.tif")
    with pytest.raises(ImageFileError, match=text):
        load_slice_mask(tmp_path / "x.tif")


def test_refuses_a_coloured_or_turned_mask(tmp_path, label):
    mask = Image.fromarray(label[1] * 255)
    mask.convert("RGB").save(tmp_path / "x.tif")
    with pytest.raises(ImageFileError, match="colour mode RGB, expected 8-bit grey"):
        load_slice_mask(tmp_path / "x.tif")
    mask.save(tmp_path / "x.tif", tiffinfo={274: 3})
    with pytest.raises(ImageFileError, match="orientation 3; save the mask upright"):
        load_slice_mask(tmp_path / "x.tif")


def test_takes_blank_slices_but_no_blank_volume(tmp_path, voxels, label):
    voxels[0] = 0
    converter = StackConverter((5.0, 1.0, 1.0))
    assert converter.check(stack_of(tmp_path / "a", voxels, label)).problems == ()
    (problem,) = converter.check(stack_of(tmp_path / "b", np.zeros_like(voxels), label)).problems
    assert "blank: every voxel of every slice" in problem.text


def test_refuses_a_volume_without_tumour(tmp_path, voxels, label):
    (problem,) = StackConverter((5.0, 1.0, 1.0)).check(stack_of(tmp_path / "a", voxels, 0 * label)).problems
    assert "no tumour in any slice" in problem.text
    assert problem.file == tmp_path / "a"


def test_lists_all_that_is_wrong_with_a_volume(tmp_path, voxels, label):
    case = stack_of(tmp_path / "source", voxels, label)
    one, two, three, four, five = case.channels
    mask_of(one).unlink()
    two.write_bytes(b"")
    Image.fromarray(label[2].T * 255).save(mask_of(three))
    Image.new("L", (7, 6), 255).save(mask_of(four))
    Image.fromarray(voxels[0, :3]).save(five)
    Image.fromarray(label[1, :3] * 255).save(mask_of(five))
    found = StackConverter((5.0, 1.0, 1.0)).check(case)
    assert [(problem.file, problem.text.split(";")[0]) for problem in found.problems] == [
        (one, "no mask for this slice, expected scan_1_mask.tif beside it"),
        (two, "the file is empty (0 bytes)"),
        (mask_of(three), "the mask has 6x7 pixels, its slice 7x6 pixels"),
        (mask_of(four), "white all over, expected a tumour on black"),
        (five, "7x3 pixels, other slices 7x6 pixels"),
    ]
    assert found.source["shape"] == [5, 6, 7]
    assert found.digest is None


def test_slice_keeps_its_pixels_or_is_resized(tmp_path, voxels, label):
    case = stack_of(tmp_path / "patient", voxels[1:2], label[1:2])
    found = SliceConverter(None).check(case)
    source = {"shape": [6, 7], "same_as_flair": [], "file": "patient/scan_1.tif"}
    assert (found.problems, found.source) == ((), source)
    pixels, mask = SliceConverter(None).read(case)
    assert np.array_equal(pixels, voxels[1])
    assert np.array_equal(mask, label[1])
    pixels, mask = SliceConverter((12, 14)).read(case)
    assert pixels.shape == (12, 14, 3)
    assert np.array_equal(mask, label[1].repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize("converter", [SliceConverter((3, 4)), StackConverter((5.0, 1.0, 1.0))])
def test_without_a_label_masks_are_not_looked_at(tmp_path, voxels, label, converter):
    labelled = stack_of(tmp_path, voxels[1:2], label[1:2])
    expected, source = converter.read(labelled)[:-1], converter.check(labelled).source
    case = Case(identifier="scan", channels=labelled.channels, is_training=False)
    mask_of(case.channels[0]).write_bytes(b"")
    found = converter.check(case)
    assert (found.problems, found.foreground) == ((), None)
    assert found.source == source
    images = converter.read(case)
    assert len(images) == len(expected)
    assert all(np.array_equal(one, other) for one, other in zip(images, expected, strict=True))


def test_slices_may_be_blank_or_without_tumour(tmp_path, voxels, label):
    found = SliceConverter(None).check(stack_of(tmp_path, 0 * voxels[:1], 0 * label[:1]))
    assert (found.problems, found.digest, found.foreground) == ((), None, 0.0)


def test_refuses_a_size_at_which_the_tumour_vanishes(tmp_path, voxels, label):
    label[:] = 0
    label[0, 0, 0] = 1
    (problem,) = SliceConverter((3, 3)).check(stack_of(tmp_path, voxels[:1], label[:1])).problems
    assert problem.text == "1 tumour pixels, and none of them is left at the size (3, 3); choose a larger `size`"


@pytest.mark.parametrize("converter", [SliceConverter(None), StackConverter((5.0, 1.0, 1.0))])
def test_files_that_change_after_the_check_are_named(tmp_path, voxels, label, converter):
    case = stack_of(tmp_path, voxels[:2], label[:2])
    Image.fromarray(label[0].T * 255).save(mask_of(case.channels[0]))
    with pytest.raises(ValueError, match=r"scan: the mask has 6x7 pixels.*scan_1_mask\.tif"):
        converter.read(case)
    case.channels[0].write_bytes(b"")
    with pytest.raises(ValueError, match=r"scan: the file is empty .*scan_1\.tif"):
        converter.read(case)


def test_slices_that_change_their_size_after_the_check_are_named(tmp_path, voxels, label):
    case = stack_of(tmp_path, voxels[:2], label[:2])
    Image.fromarray(voxels[0, :3]).save(case.channels[1])
    Image.fromarray(label[0, :3] * 255).save(mask_of(case.channels[1]))
    with pytest.raises(ValueError, match="scan: slices of several sizes"):
        StackConverter((5.0, 1.0, 1.0)).read(case)
